"""What a call of the model says of its tokens: which are video, which are padding, of what shape.

Axes: B rows of the batch, n new tokens after `past` cached ones. Reading raises `CannotPlace`
where a call does not say enough; it then runs dense.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from adaspark.method.layout import Grid
from adaspark.model.prompt import VIDEO

ROWS_AT_ONCE = 1024  # of a mask that is checked: bounds the memory of the comparison


class CannotPlace(Exception):
    """Why this call must run dense, as the end of a sentence."""


@dataclass(frozen=True)
class Arguments:
    """What `Qwen2_5_VLModel.forward` is called with, by name, and what is read from it.

    `placeholder` gives the embedding [h] of the video's placeholder token, `video_id` is its id,
    `merge` the spatial merge size.
    """

    given: Mapping[str, Any]
    past: int
    video_id: int
    merge: int
    placeholder: Callable[[], Tensor]

    @property
    def shown(self) -> Tensor:
        """The ids [B, n], or the embeddings [B, n, h]."""
        ids: Tensor | None = self.given.get("input_ids")
        return self.given["inputs_embeds"] if ids is None else ids

    @property
    def count(self) -> int:
        """n."""
        return self.shown.shape[1]

    def video_tokens(self) -> Tensor | None:
        """bool [B, n]: which tokens are video; None for embeddings that come after a prompt."""
        types: Tensor | None = self.given.get("mm_token_type_ids")
        if types is not None:
            # Assisted decoding appends its candidates to the ids of the prompt, not to the types.
            return pad(torch.eq(types, VIDEO), (0, self.count - types.shape[1]))
        if (ids := self.given.get("input_ids")) is not None:
            return torch.eq(ids, self.video_id)
        if self._brings_features:  # as the stock model finds where they go
            return torch.eq(self.given["inputs_embeds"], self.placeholder()).all(-1)
        if self.past == 0 or self.given.get("video_grid_thw") is not None:
            raise CannotPlace("inputs_embeds came without mm_token_type_ids to place the video")
        return None

    @property
    def _brings_features(self) -> bool:
        encoded = (self.given.get("mm_encoder_outputs") or {}).get("video")
        return self.given.get("pixel_values_videos") is not None or encoded is not None

    def real_tokens(self) -> Tensor:
        """bool [B, past + n]: which tokens are not padding."""
        batch, length = len(self.shown), self.past + self.count
        mask = self.given.get("attention_mask")
        if isinstance(mask, Mapping):  # made by generate(), for a cache of a fixed size
            return self._real_in(mask.get("full_attention"), batch, length)
        if mask is None:
            return torch.ones(batch, length, dtype=torch.bool, device=self.shown.device)
        if not isinstance(mask, Tensor) or mask.shape != (batch, length):
            raise CannotPlace("the attention mask is not the usual [batch, tokens]")
        return mask.to(self.shown.device).bool()

    def _real_in(self, mask: Tensor | None, batch: int, length: int) -> Tensor:
        """The same from a causal mask [B, 1, n, K], K >= past + n, boolean or added to scores."""
        if mask is None:
            return torch.ones(batch, length, dtype=torch.bool, device=self.shown.device)
        if mask.ndim != 4 or mask.shape[1:3] != (1, self.count) or mask.shape[-1] < length:
            raise CannotPlace("the attention mask is not the usual [batch, tokens]")
        seen = mask if mask.dtype == torch.bool else torch.eq(mask, 0)
        seen = seen[:, 0].expand(batch, -1, -1)
        key = torch.arange(seen.shape[-1], device=seen.device)
        is_real = seen[:, -1] & (key < length)
        for first in range(0, self.count, ROWS_AT_ONCE):
            part = seen[:, first : first + ROWS_AT_ONCE]
            query = self.past + first + torch.arange(part.shape[1], device=seen.device)
            causal = is_real[:, None] & (key <= query[:, None])
            if bool(((part != causal) & is_real[:, query, None]).any()):
                raise CannotPlace("the attention mask is not the usual [batch, tokens]")
        return is_real[:, :length]

    def shapes(self, counts: list[int]) -> list[Shapes]:
        """What is said of each prompt's videos, of so many tokens a prompt, in order of appearance.

        `generate()` encodes the video itself and hands the model only positions.
        """
        given: Tensor | None = self.given.get("video_grid_thw")
        grids: list[Grid] | None = None
        if given is not None:
            grids = [(t, h // self.merge, w // self.merge) for t, h, w in given.tolist()]
        positions = self.given.get("position_ids")
        places = None
        batch = len(self.shown)
        if (
            isinstance(positions, Tensor)
            and positions.ndim == 3
            and len(positions) >= 3
            and positions.shape[1] in (1, batch)
            and positions.shape[2] == self.count
        ):
            places = positions[-2:].expand(2, batch, -1).to(self.shown.device)
        has_types = self.given.get("mm_token_type_ids") is not None
        return [Shapes(mine, places, has_types) for mine in _shared_out(grids, counts)]

    def packed_samples(self) -> Tensor | None:
        """int64 [B, n]: which of several samples packed into one row each token is of.

        By the stock model's own rule: text positions that start again, no mask and no cache.
        None where there is one sample a row.
        """
        positions = self.given.get("position_ids")
        if not isinstance(positions, Tensor) or positions.ndim != 3 or len(positions) != 4:
            return None
        if self.given.get("attention_mask") is not None:
            return None
        text = positions[0].expand(len(self.shown), -1).to(self.shown.device)
        sample = (torch.diff(text, prepend=text[:, :1] - 1) != 1).cumsum(-1)
        return sample if bool(sample[:, -1].any()) else None


@dataclass(frozen=True, eq=False)
class Shapes:
    """What tells the shape of one prompt's videos.

    `grids` are given ones, whole; `places` int64 [2, ..., n] the row and the column of each token
    in M-RoPE.
    """

    grids: list[Grid] | None
    places: Tensor | None
    has_types: bool

    def of_row(self, row: int, part: slice = slice(None)) -> Shapes:
        """The same with the places of one row's tokens alone, int64 [2, n]."""
        places = None if self.places is None else self.places[:, row, part]
        return Shapes(self.grids, places, self.has_types)

    def places_of(self, runs: list[tuple[int, int]], before: Tensor | None) -> list[Tensor] | None:
        """int64 [2, m] of each run of video tokens, the first one after those `before`."""
        if self.places is None:
            return None
        parts = [self.places[:, start:end] for start, end in runs]
        if before is not None:
            parts[0] = torch.cat([before, parts[0]], 1)
        return parts

    def grids_of(
        self, runs: list[tuple[int, int]], places: list[Tensor] | None, *, is_first: bool
    ) -> list[Grid]:
        """The grid of each run of video tokens.

        Given ones are believed first, except in later parts: they may be those of all parts.
        """
        if is_first and self.grids is not None:
            return self.grids
        found = [None] * len(runs) if places is None else [grid_so_far(part) for part in places]
        known = [grid for grid in found if grid is not None]
        if len(known) == len(runs):
            return known
        if self.grids is not None:
            return self.grids
        missing = "3-D position_ids" if self.has_types else "mm_token_type_ids"
        raise CannotPlace(f"neither video_grid_thw nor {missing} give the video's shape")


def _shared_out(grids: list[Grid] | None, counts: list[int]) -> list[list[Grid] | None]:
    """The grids that belong to each prompt of so many video tokens, in order of appearance."""
    if grids is None:
        return [None] * len(counts)
    left, shares = list(grids), []
    for count in counts:
        mine: list[Grid] = []
        while left and sum(t * h * w for t, h, w in mine) < count:
            mine.append(left.pop(0))
        shares.append(mine)
    return list(shares)


def grid_so_far(places: Tensor) -> Grid | None:
    """(T, H, W) of a video from the rows and columns int64 [2, n] of its tokens; None if there is
    none.

    The video may be cut anywhere: then it is the smallest grid that holds what is there.
    """
    rows, columns = places - places[:, :1]
    height, width = int(rows.max()) + 1, int(columns.max()) + 1
    order = torch.arange(places.shape[1], device=places.device)
    raster = torch.stack([order // width % height, order % width])
    if not torch.equal(torch.stack([rows, columns]), raster):
        return None
    return -(-places.shape[1] // (height * width)), height, width


def runs_of(marked: Tensor) -> list[tuple[int, int]]:
    """Where the runs of True in bool [n] start and end (exclusive)."""
    edges = torch.diff(marked.int(), prepend=marked.new_zeros(1), append=marked.new_zeros(1))
    starts, ends = ((edges == sign).nonzero().flatten().tolist() for sign in (1, -1))
    return list(zip(starts, ends, strict=True))
