"""What a call of the model says of its tokens: which are video, which are padding, of what shape.

Axes: B rows of the batch, n new tokens after `past` cached ones. Reading raises `CannotPlace`
where a call does not say enough; it then runs dense.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from adaspark.method.config import Grid
from adaspark.model.mrope import VIDEO
from adaspark.model.shapes import CannotPlace, Shapes, sizes_of, split

ROWS_AT_ONCE = 1024  # of a mask that is checked: bounds the memory of the comparison


@dataclass(frozen=True)
class Arguments:
    """What a base model's `forward` is called with, by name, and what is read from it.

    `placeholder` gives the embedding [h] of the video's placeholder token, `video_id` is its id,
    `merge` the spatial merge size. With `frames_apart` each slice is a run of its own, and text
    before it joins it if `joins_stamps`.
    """

    given: Mapping[str, Any]
    past: int
    video_id: int
    merge: int
    placeholder: Callable[[], Tensor]
    frames_apart: bool = False
    joins_stamps: bool = True

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
        return self.given.get("pixel_values_videos") is not None or self._encoded is not None

    @property
    def _encoded(self) -> Any:
        """The video's features, where `generate` has encoded it before the call."""
        return (self.given.get("mm_encoder_outputs") or {}).get("video")

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
        shapes = Shapes(grids, places, has_types, self.frames_apart, self.joins_stamps)
        if grids is None and self.frames_apart:
            sizes = split(sizes_of(self._encoded), counts, lambda size: size)
            return [replace(shapes, sizes=mine) for mine in sizes]
        if self.frames_apart and len(counts) == 1:  # they may be of later parts too
            return [shapes]
        shares = split(grids, counts, lambda grid: grid[0] * grid[1] * grid[2])
        return [replace(shapes, grids=mine) for mine in shares]

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
