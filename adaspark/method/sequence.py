"""One sequence of text and video: who may see whom, in the order that the stock model keeps.

Axes: N tokens, V video tokens, X text tokens, C cubes, n queries of a segment. A padding token is
neither text nor video: it is in no segment and is never a key.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from adaspark.method.layout import CubeLayout

SEGMENT_QUERIES = 1024  # bounds the (head, query, cube) tables that are alive at one time


@dataclass(frozen=True, eq=False)
class Segment:
    """Queries that share one prefix of cubes and text: part of a slab, or a run of text.

    `positions` int64 [n]: where the queries stand in the sequence. Key visibility is two prefixes:
    video token j is visible to query i when `j < video_before[i]`, text token j when
    `j < text_before[i]` (both int64 [n], the query itself counted). `own_cube` int64 [n], -1 for
    text. Cubes [0, partial_cube) are wholly visible to all queries, [partial_cube, end_cube) to
    some or in part, likewise text with `partial_text` and `end_text`.
    """

    layout: CubeLayout
    positions: Tensor
    video_before: Tensor
    text_before: Tensor
    own_cube: Tensor
    partial_cube: int
    end_cube: int
    partial_text: int
    end_text: int

    @property
    def is_text(self) -> bool:
        """Whether the queries are text: they have no cube of their own."""
        return self.partial_cube == self.end_cube

    @cached_property
    def text_pairs(self) -> int:
        """(query, text key) pairs of these queries, one head: always computed."""
        return int(self.text_before.sum())

    @cached_property
    def causal_pairs(self) -> int:
        """(query, key) pairs that dense attention computes for these queries, one head."""
        return int(self.video_before.sum()) + self.text_pairs

    @cached_property
    def weighed_pairs(self) -> int:
        """(query, candidate cube) pairs that choosing weighs, one head."""
        return int(self.candidate_counts.sum())

    @cached_property
    def candidates(self) -> Tensor:
        """bool [n, end_cube]: cubes with at least one visible key, except the query's own."""
        whole = torch.ones_like(self.own_mask[:, : self.partial_cube])
        return torch.cat([whole, self.partly_visible_tokens > 0], dim=1) & ~self.own_mask

    @cached_property
    def candidate_counts(self) -> Tensor:
        """int64 [n]: how many candidates each query has; its own cube is a partly visible one."""
        others = (self.partly_visible_tokens > 0) & ~self.own_mask[:, self.partial_cube :]
        return self.partial_cube + others.sum(-1)

    @cached_property
    def own_mask(self) -> Tensor:
        """bool [n, end_cube]: each query's own cube."""
        cube = torch.arange(self.end_cube, device=self.own_cube.device)
        return cube[None, :] == self.own_cube[:, None]

    @cached_property
    def query_from_own_cube(self) -> Tensor:
        """fp32 [end_cube - partial_cube, n]: 1 where a query is of a cube; sums queries by cube."""
        return self.own_mask[:, self.partial_cube :].float().T.contiguous()

    @cached_property
    def partly_visible_tokens(self) -> Tensor:
        """int64 [n, end_cube - partial_cube]: tokens of the last cubes that each query may see."""
        tokens = self.layout.tokens_from_cube[self.partial_cube : self.end_cube]
        return ((tokens >= 0) & (tokens < self.video_before[:, None, None])).sum(-1)


@dataclass(frozen=True, eq=False)
class SequenceMap:
    """Where the video and the text of one sequence stand.

    `video_positions` int64 [V] and `text_positions` int64 [X], both ascending; `length` is N,
    padding included. The last `added` tokens are known to be text without asking the device.
    """

    layout: CubeLayout
    video_positions: Tensor
    text_positions: Tensor
    length: int
    added: int = 0
    _segments: dict[int, list[Segment]] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def build(
        cls,
        is_video: Tensor,
        grids: Sequence[Sequence[int]],
        cube: Sequence[int],
        *,
        is_real: Tensor | None = None,
    ) -> SequenceMap:
        """From bool [N] masks: which tokens are video, and which are not padding.

        Raises ValueError where the grids do not hold as many tokens as are marked.
        """
        real = torch.ones_like(is_video) if is_real is None else is_real
        layout = CubeLayout(grids, cube, device=is_video.device)
        video = (is_video & real).nonzero().flatten()
        if len(video) != layout.tokens:
            raise ValueError(
                f"The sequence marks {len(video)} video tokens, but its grids {layout.grids} "
                f"hold {layout.tokens}; pass the video_grid_thw that belongs to these input_ids."
            )
        text = (~is_video & real).nonzero().flatten()
        return cls(layout, video, text, len(is_video))

    def continued(self, start: int, count: int, *, is_real: Tensor | None = None) -> SequenceMap:
        """The same sequence cut at `start`, with `count` text tokens after it.

        `is_real` bool [count] tells those of them that are not padding. The device is not waited
        for where nothing is cut off and all are real, which is how decoding goes on.
        """
        text = self.text_positions
        if start < self.length:
            text = text[text < start]
        new = torch.arange(start, start + count, device=text.device)
        if is_real is not None:
            new = new[is_real]
        text = torch.cat([text, new])
        return SequenceMap(self.layout, self.video_positions, text, start + count, count)

    def extended(self, is_video: Tensor, is_real: Tensor, layout: CubeLayout) -> SequenceMap:
        """The same sequence with more of a video, or another, after it: bool [n] masks.

        `layout` is that of all video tokens, old and new.
        """
        video = (is_video & is_real).nonzero().flatten() + self.length
        text = (~is_video & is_real).nonzero().flatten() + self.length
        return SequenceMap(
            layout,
            torch.cat([self.video_positions, video]),
            torch.cat([self.text_positions, text]),
            self.length + len(is_video),
        )

    def from_token(self, start: int) -> SequenceMap:
        """What stands at `start` and after it, as a sequence of its own: positions from 0 again.

        A cube that is cut is one of its own.
        """
        if start == 0:
            return self
        video = self.video_positions[self.video_positions >= start] - start
        text = self.text_positions[self.text_positions >= start] - start
        tokens = self.layout.tokens
        layout = self.layout.part(tokens - len(video), tokens)
        return SequenceMap(layout, video, text, self.length - start)

    def on(self, device: torch.device) -> SequenceMap:
        """The same sequence on another device."""
        if device == self.video_positions.device:
            return self
        video, text = self.video_positions.to(device), self.text_positions.to(device)
        return SequenceMap(self.layout.on(device), video, text, self.length, self.added)

    @property
    def is_unpadded(self) -> bool:
        """Whether every token is text or video."""
        return len(self.video_positions) + len(self.text_positions) == self.length

    def tokens_before(self, start: int) -> int:
        """How many of the first `start` tokens are text or video."""
        return sum(int((at < start).sum()) for at in (self.video_positions, self.text_positions))

    def has_video_from(self, start: int) -> bool:
        """Whether any video token stands at `start` or after it."""
        if start >= self.length - self.added or not len(self.video_positions):
            return False
        return int(self.video_positions[-1]) >= start

    def segments(self, start: int = 0) -> list[Segment]:
        """The queries at positions >= `start`, cut into segments; video slabs in cube order.

        Made once for all layers.
        """
        if start not in self._segments:
            self._segments[start] = [*self._slab_segments(start), *self._text_segments(start)]
        return self._segments[start]

    def _slab_segments(self, start: int) -> Iterator[Segment]:
        """All at once, then cut: the device is waited for once, not twice a segment."""
        layout = self.layout
        tokens = layout.cube_from_token.argsort(stable=True)  # cubes are numbered slab by slab
        sizes = [slab.end_token - slab.first_token for slab in layout.slabs]
        if start:
            kept = self.video_positions[tokens] >= start
            sizes = [int(part.sum()) for part in torch.split(kept.cpu(), sizes)]
            tokens = tokens[kept]
        positions = self.video_positions[tokens]
        video_before, own_cube = tokens + 1, layout.cube_from_token[tokens]
        text_before = torch.searchsorted(self.text_positions, positions, right=True)
        text_seen = text_before.cpu()
        end = 0
        for slab, size in zip(layout.slabs, sizes, strict=True):
            first, end = end, end + size
            for at in range(first, end, SEGMENT_QUERIES):
                part = slice(at, min(at + SEGMENT_QUERIES, end))
                yield Segment(
                    layout=layout,
                    positions=positions[part],
                    video_before=video_before[part],
                    text_before=text_before[part],
                    own_cube=own_cube[part],
                    partial_cube=slab.first_cube,
                    end_cube=slab.end_cube,
                    partial_text=int(text_seen[part].min()),
                    end_text=int(text_seen[part].max()),
                )

    def _text_segments(self, start: int) -> Iterator[Segment]:
        """Runs of text that no video interrupts."""
        text = self.text_positions[self.text_positions >= start]
        if not len(text):
            return
        before = torch.searchsorted(self.video_positions, text)
        _, runs = torch.unique_consecutive(before, return_counts=True)
        for run, seen in zip(
            torch.split(text, runs.tolist()), torch.split(before, runs.tolist()), strict=True
        ):
            cubes = self._cubes_before(int(seen[0]))
            for part in torch.split(run, SEGMENT_QUERIES):
                text_before = torch.searchsorted(self.text_positions, part, right=True)
                yield Segment(
                    self.layout,
                    positions=part,
                    video_before=torch.full_like(part, int(seen[0])),
                    text_before=text_before,
                    own_cube=torch.full_like(part, -1),
                    partial_cube=cubes,
                    end_cube=cubes,
                    partial_text=int(text_before[0]),
                    end_text=int(text_before[-1]),
                )

    def _cubes_before(self, video_tokens: int) -> int:
        if video_tokens == 0:
            return 0
        return int(self.layout.cube_from_token[:video_tokens].max()) + 1
