"""Several questions about one clip, which the model reads once.

Apart from the engine, so that whoever holds one need not load a model's code.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from adaspark.model.streaming import Stopped

if TYPE_CHECKING:
    from adaspark.model.features import Features
    from adaspark.model.prompt import Turn
    from adaspark.model.prompt_cache import PromptCache


class Known(NamedTuple):
    """What a question is answered from: features, the seconds that they took by phase, and of a
    conversation its cache and its turns so far.
    """

    features: Features
    seconds: dict[str, float]
    cache: PromptCache | None = None
    turns: tuple[Turn, ...] = ()


class Conversation:
    """What `Engine.ask` keeps from one question to the next: the clip, as the model's cache has it.

    A question about the same clip under the same settings (configuration, sampling, interventions,
    pruning, model) then costs the reading of its own text (on a GPU from `KEPT_FROM` tokens on: a
    shorter prompt is read anew). If any differs, the clip is read again
    and takes the place of the other. With `keeps_turns` earlier questions and their answers stay in
    the context as long as the clip is the same, whatever else changes; without, each question
    stands alone. Answers are those of asking afresh. Used by one question at a time.
    """

    def __init__(self, *, keeps_turns: bool = False) -> None:
        self.keeps_turns = keeps_turns
        self.turns: list[Turn] = []
        self._clip: Hashable = None
        self._held: tuple[object, Features, PromptCache] | None = None
        self._is_closed = False
        self._lock = threading.Lock()

    @property
    def nbytes(self) -> int:
        """Bytes that are held for the next question, on whatever device; 0 where nothing is."""
        held = self._held
        return held[2].nbytes if held else 0

    def forget_turns(self) -> None:
        """Begin anew about the same clip, which is not read again."""
        self.turns.clear()

    def release(self) -> None:
        """Free what is held: the next question reads the clip again, its turns stay."""
        with self._lock:
            self._held = None

    def close(self) -> None:
        """Free what is held, for good: later questions are answered and leave nothing."""
        with self._lock:
            self._held, self._is_closed = None, True
        self.turns.clear()

    @contextmanager
    def about(
        self,
        clip: Hashable,
        settings: object,
        read: Callable[[], tuple[Features, dict[str, float]]],
        new_cache: Callable[[], PromptCache],
    ) -> Iterator[Known]:
        """What a question about `clip` under `settings` is answered from: what is held, if it is of
        the same ones, else what `read` gives. Held for the next one after the block, also after a
        question that was stopped.
        """
        with self._lock:
            held, self._held = self._held, None
            if clip != self._clip:
                self.turns.clear()
            self._clip = clip
            turns = tuple(self.turns)
        if held is not None and held[0] == settings:
            known = Known(held[1], dict.fromkeys(("decode", "vision"), 0.0), held[2], turns)
        else:
            held = None  # freed before another takes its place
            known = Known(*read(), new_cache(), turns)
        try:
            yield known
        except Stopped:
            self._keep(settings, known)
            raise
        self._keep(settings, known)

    def add(self, turn: Turn) -> None:
        """A question was answered."""
        with self._lock:
            if self.keeps_turns and not self._is_closed:
                self.turns.append(turn)

    def _keep(self, settings: object, known: Known) -> None:
        with self._lock:
            if known.cache is not None and known.cache.is_marked and not self._is_closed:
                self._held = settings, known.features.bare, known.cache
