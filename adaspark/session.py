"""The prompt at work: its geometry, read from what the model is called with.

Nothing here touches a module. Reading raises `CannotPlace` where the call does not say enough to
place the video; the caller then runs it dense.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from adaspark import attention
from adaspark.config import Cube
from adaspark.layout import Grid
from adaspark.prompt import VIDEO
from adaspark.sequence import SequenceMap


class CannotPlace(Exception):
    """Why this call must run dense, as the end of a sentence."""


@dataclass(eq=False)
class Session:
    """One batch of prompts: a map a row, and the mean keys of each layer once known."""

    rows: list[SequenceMap]
    means: dict[tuple[int, int], Tensor] = field(default_factory=dict)

    def __deepcopy__(self, memo: object) -> Session:
        """A cache may be copied to ask several questions of one prefill; nothing here changes."""
        return Session(self.rows, dict(self.means))

    def mean_keys(self, layer: int, row: int, keys: Tensor) -> Tensor:
        """The mean key of each cube, kept from prefill: decoding adds no video."""
        if (layer, row) not in self.means:
            self.means[layer, row] = attention.cube_means(keys, self.rows[row])
        return self.means[layer, row]

    def continued(self, start: int, count: int) -> Session:
        """The same prompts with `count` text tokens after the first `start` tokens."""
        if any(row.has_video_from(start) for row in self.rows):
            raise CannotPlace("the cache was cut inside the video")
        return Session([row.continued(start, count) for row in self.rows], self.means)


def read_prompt(
    ids: Tensor | None, call: Mapping[str, Any], *, video_id: int, merge: int, cube: Cube
) -> Session | None:
    """The session of a prefill from the keyword arguments of `Qwen2_5_VLModel.forward`.

    `ids` int64 [B, N] or None; `video_id` is the placeholder's id, `merge` the spatial merge size.
    None where the prompt has no video.
    """
    mask = call.get("attention_mask")
    is_video = video_tokens(ids, call, video_id=video_id)
    if is_video is None and call.get("video_grid_thw") is not None:
        raise CannotPlace("inputs_embeds came without mm_token_type_ids to place the video")
    if is_video is None or not bool(is_video.any()):
        return None
    if mask is not None and (not isinstance(mask, Tensor) or mask.shape != is_video.shape):
        raise CannotPlace("the attention mask is not the usual [batch, tokens]")
    real = torch.ones_like(is_video) if mask is None else mask.bool()
    return Session(_rows(is_video, real, _grids(is_video, call, merge), cube))


def video_tokens(ids: Tensor | None, call: Mapping[str, Any], *, video_id: int) -> Tensor | None:
    """bool [B, N]: which tokens of a call are video; None where it does not say."""
    types: Tensor | None = call.get("mm_token_type_ids")
    if types is None:
        return None if ids is None else torch.eq(ids, video_id)
    shown = ids if ids is not None else call["inputs_embeds"]
    # Assisted decoding appends its candidates to the ids of the prompt, and not to the types.
    return pad(torch.eq(types, VIDEO), (0, shown.shape[1] - types.shape[1]))


def _grids(is_video: Tensor, call: Mapping[str, Any], merge: int) -> list[Grid]:
    """(T, H, W) in merged tokens of each video, in order of appearance.

    `generate()` encodes the video itself and hands the model only positions; they tell as much.
    """
    if (given := call.get("video_grid_thw")) is not None:
        return [(t, h // merge, w // merge) for t, h, w in given.tolist()]
    positions = call.get("position_ids")
    if positions is None or positions.ndim != 3 or positions.shape[0] < 3:
        raise CannotPlace("neither video_grid_thw nor 3-D position_ids give the video's shape")
    found: list[Grid] = []
    for video, rows, columns in zip(is_video, positions[-2], positions[-1], strict=True):
        edges = torch.diff(video.int(), prepend=video.new_zeros(1), append=video.new_zeros(1))
        ends = (edges == -1).nonzero().flatten().tolist()
        for start, end in zip((edges == 1).nonzero().flatten().tolist(), ends, strict=True):
            height, width = (int(p[start:end].max() - p[start]) + 1 for p in (rows, columns))
            if (end - start) % (height * width):
                raise CannotPlace("a video was cut inside a slice (chunked prefill)")
            found.append(((end - start) // (height * width), height, width))
    return found


def _rows(is_video: Tensor, is_real: Tensor, grids: list[Grid], cube: Cube) -> list[SequenceMap]:
    """One map a batch row; the grids are dealt out in order of appearance."""
    rows, left = [], list(grids)
    for video, real in zip(is_video, is_real, strict=True):
        wanted = int((video & real).sum())
        mine: list[Grid] = []
        while left and sum(t * h * w for t, h, w in mine) < wanted:
            mine.append(left.pop(0))
        rows.append(SequenceMap.build(video, mine, cube, is_real=real))
    return rows
