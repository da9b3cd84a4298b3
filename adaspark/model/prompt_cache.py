"""The cache of a prompt that can be taken back to an earlier place, and filled from there again.

What text after the video says changes nothing of the video: its keys and values, which cubes and
tokens it chose and what was recorded of it are the same whatever is asked, so that another question
needs them computed only once.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor
from transformers import DynamicCache

from adaspark.model.cached_geometry import recall, remember
from adaspark.model.prompt_geometry import Session
from adaspark.trace.recorder import Recorder


@dataclass(frozen=True, eq=False)
class Mark:
    """A place that a cache can be taken back to: after its first `length` tokens.

    `states` are what layers without keys (recurrent ones) held there, by their number; those with
    keys are cut. `recorded` is what recorders had been told until then, one for each that listened.
    """

    length: int
    session: Session | None
    states: dict[int, dict[str, Any]]
    recorded: list[Recorder]


class PromptCache:
    """A cache, the ids that it holds (as far as the last mark), and marks, ascending."""

    def __init__(self, config: Any) -> None:
        self._config = config
        self.cache = DynamicCache(config=config)
        self._ids: list[int] = []
        self._marks: list[Mark] = []

    @property
    def is_marked(self) -> bool:
        """Whether there is a place to go back to."""
        return bool(self._marks)

    @property
    def nbytes(self) -> int:
        """Bytes of the tensors, on whatever device, and of what was recorded of the video."""
        held = sum(_bytes(vars(layer)) for layer in self.cache.layers)
        held += sum(_bytes(state) for mark in self._marks for state in mark.states.values())
        recorded = self._marks[0].recorded if self._marks else []
        return held + sum(recorder.nbytes for recorder in recorded)

    def mark(self, ids: Sequence[int], recorders: Sequence[Recorder]) -> None:
        """Let it be taken back to where it is now: after `ids`. Two marks are kept, the first one
        and this one.
        """
        copies = [recorder.forked() for recorder in recorders]
        states = {
            i: copy.deepcopy(vars(layer))
            for i, layer in enumerate(self.cache.layers)
            if not _has_keys(layer)
        }
        self._ids = list(ids)
        here = Mark(len(self._ids), recall(self.cache), states, copies)
        self._marks = [*self._marks[:1], here]

    def back_to(self, ids: Sequence[int], recorders: Sequence[Recorder]) -> int:
        """Go back as little as a prompt of `ids` needs, and let `recorders` go on from there.

        Returns how many of its tokens the cache then holds, fewer than all; without a mark that
        serves it is a new one.
        """
        for mark in reversed(self._marks):
            fits = mark.length < len(ids) and list(ids[: mark.length]) == self._ids[: mark.length]
            if fits and len(mark.recorded) >= len(recorders):
                self._cut(mark)
                for recorder, kept in zip(recorders, mark.recorded, strict=False):
                    recorder.take_up(kept)
                return mark.length
        self.cache, self._marks = DynamicCache(config=self._config), []
        return 0

    def expect(self, length: int) -> None:
        """The prompt is so long: text that comes until then is no answer."""
        if (session := recall(self.cache)) is not None:
            remember(self.cache, replace(session, prompt_length=length))

    def _cut(self, mark: Mark) -> None:
        """Layer by layer: a prompt that was stopped half-way has reached some of them alone."""
        self._marks = self._marks[: self._marks.index(mark) + 1]
        for i, layer in enumerate(self.cache.layers):
            if i in mark.states:
                vars(layer).update(copy.deepcopy(mark.states[i]))
            elif (more := layer.get_seq_length() - mark.length) > 0:
                layer.crop(-more)
        if mark.session is not None:
            remember(self.cache, mark.session)


def _has_keys(layer: Any) -> bool:
    return isinstance(getattr(layer, "keys", None), Tensor)


def _bytes(values: Any) -> int:
    """Of the tensors in a dict, or in one inside it."""
    return sum(
        _bytes(value) if isinstance(value, dict) else getattr(value, "nbytes", 0)
        for value in values.values()
    )
