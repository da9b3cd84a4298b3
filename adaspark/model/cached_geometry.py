"""The session that a cache carries: it goes where the cache goes, and its rows with it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from adaspark.model.prompt_geometry import Session
from adaspark.model.swapped import Swapped, swap

_NAME = "_adaspark_session"


def remember(cache: Any, session: Session) -> None:
    """Let the cache carry the session of the prompts that it holds."""
    cache.__dict__[_NAME] = session
    swap(cache, _RowsMoved)


def recall(cache: Any) -> Session | None:
    """The session of a cache; None where another model filled it, or a hand."""
    session: Session | None = getattr(cache, "__dict__", {}).get(_NAME)
    return session


class _RowsMoved(Swapped):
    """A cache whose session follows when rows of the batch are chosen, repeated or reordered."""

    def batch_repeat_interleave(self, repeats: int) -> None:
        super().batch_repeat_interleave(repeats)  # type: ignore[misc]
        self._choose(lambda rows: rows.repeat_interleave(repeats))

    def batch_select_indices(self, indices: Any) -> None:
        super().batch_select_indices(indices)  # type: ignore[misc]
        self._choose(lambda rows: rows[indices.cpu() if isinstance(indices, Tensor) else indices])

    def reorder_cache(self, beam_idx: Tensor) -> None:
        super().reorder_cache(beam_idx)  # type: ignore[misc]
        self._choose(lambda rows: rows[beam_idx.cpu()])

    def reset(self) -> None:
        super().reset()  # type: ignore[misc]
        self.__dict__.pop(_NAME, None)

    def _choose(self, chosen: Any) -> None:
        session = recall(self)
        if session is not None and session.has_video:
            rows = chosen(torch.arange(len(session.rows)))
            self.__dict__[_NAME] = session.chosen(rows.tolist())
