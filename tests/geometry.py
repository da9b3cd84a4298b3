"""Sequences of text and videos in odd shapes, and tensors to go with them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from hypothesis import strategies as st
from torch import Tensor

from adaspark.method.attention import Choice
from adaspark.method.segment import Segment
from adaspark.method.sequence import SequenceMap

Grid = tuple[int, int, int]


@dataclass(frozen=True)
class Scene:
    """Text runs with videos between them: `text[i]` tokens come before video i, the last after."""

    grids: tuple[Grid, ...]
    text: tuple[int, ...]
    cube: Grid
    padding: int = 0

    @property
    def is_video(self) -> Tensor:
        parts = [torch.zeros(self.padding, dtype=torch.bool)]
        for count, grid in zip(self.text, [*self.grids, (0, 0, 0)], strict=True):
            parts += [
                torch.zeros(count, dtype=torch.bool),
                torch.ones(grid[0] * grid[1] * grid[2], dtype=torch.bool),
            ]
        return torch.cat(parts)

    def build(self, device: str = "cpu") -> SequenceMap:
        is_real = torch.arange(len(self.is_video), device=device) >= self.padding
        is_video = self.is_video.to(device)
        return SequenceMap.build(is_video, self.grids, self.cube, is_real=is_real)


ODD = {
    "ragged": Scene(((5, 3, 7),), (3, 4), (2, 2, 3)),
    "one slice": Scene(((1, 4, 5),), (2, 3), (2, 2, 2)),
    "smaller than a cube": Scene(((2, 2, 3),), (2, 2), (4, 4, 4)),
    "no text before": Scene(((4, 3, 3),), (0, 2), (2, 2, 2)),
    "no text after": Scene(((3, 3, 3),), (2, 0), (2, 2, 2)),
    "video alone": Scene(((3, 3, 3),), (0, 0), (2, 2, 2)),
    "two videos, text between": Scene(((3, 2, 5), (2, 4, 3)), (2, 3, 4), (2, 2, 2)),
    "two videos, none between": Scene(((3, 2, 2), (2, 3, 3)), (1, 0, 2), (2, 2, 2)),
    "padded": Scene(((3, 3, 4),), (2, 3), (2, 2, 2), padding=5),
    "no video": Scene((), (6,), (2, 2, 2)),
    "cubes of one token": Scene(((2, 2, 3),), (1, 2), (1, 1, 1)),
}


def allowed_mask(
    sequence: SequenceMap, recorded: list[tuple[Segment, Choice]], queries: int
) -> Tensor:
    """bool [H, S, N]: what each of the last S queries may read, given the choices, by position."""
    layout, length = sequence.layout, sequence.length
    device = sequence.video_positions.device
    heads = len(recorded[0][1].kept)
    mask = torch.zeros(heads, length, length, dtype=torch.bool, device=device)
    for segment, choice in recorded:
        chosen = torch.zeros(
            heads, len(segment.positions), layout.cubes, dtype=torch.bool, device=device
        )
        chosen[..., : segment.end_cube] = choice.kept
        video = (segment.own_cube >= 0).nonzero().flatten()
        chosen[:, video, segment.own_cube[video]] = True
        rows = torch.zeros(heads, len(segment.positions), length, dtype=torch.bool, device=device)
        rows[..., sequence.text_positions] = True
        rows[..., sequence.video_positions] = chosen[..., layout.cube_from_token]
        mask[:, segment.positions] = rows
    return mask.tril()[:, length - queries :]


_sides = st.integers(1, 5)
_cubes = st.tuples(st.integers(1, 6), st.integers(1, 6), st.integers(1, 6))


@st.composite
def scenes(draw: st.DrawFn, *, most_tokens: int = 80) -> Scene:
    """Up to three videos that hold `most_tokens` together, any cube, any text, any padding."""
    grids: list[Grid] = []
    for grid in draw(st.lists(st.tuples(_sides, _sides, _sides), max_size=3)):
        if sum(t * h * w for t, h, w in [*grids, grid]) <= most_tokens:
            grids.append(grid)
    count = len(grids) + 1
    text = draw(st.lists(st.integers(0, 4), min_size=count, max_size=count))
    if not grids:
        text = [text[0] + 1]
    return Scene(tuple(grids), tuple(text), draw(_cubes), draw(st.integers(0, 3)))


def tensors(
    sequence: SequenceMap,
    *,
    heads: int = 7,
    groups: int = 1,
    width: int = 8,
    last: int | None = None,
    dtype: torch.dtype = torch.float32,
    seed: int = 0,
) -> tuple[Tensor, Tensor, Tensor]:
    """Queries [H, S, D] of the last S tokens, keys and values [G, N, D]; peaked as trained ones."""
    generator = torch.Generator().manual_seed(seed)
    count = sequence.length if last is None else last

    def draw(rows: int, tokens: int) -> Tensor:
        return (2 * torch.randn(rows, tokens, width, generator=generator)).to(dtype)

    return draw(heads, count), draw(groups, sequence.length), draw(groups, sequence.length)
