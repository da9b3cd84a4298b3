"""What comes back from a request: progress, words, and at last the result.

Apart from the engine, so that whoever passes them on need not load a model's code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from adaspark.trace.meta import Word as WrittenWord
from adaspark.trace.summary import summary
from adaspark.trace.trace import Trace


class Phase(NamedTuple):
    """Progress: `decode` and `vision` count frames, `prefill` layers, `generate` words."""

    name: str
    done: int
    total: int


class Word(NamedTuple):
    """New text of the answer, to be appended."""

    text: str


@dataclass(frozen=True)
class Result:
    """An answer with its trace; `seconds` by phase (0 for what came from the cache).

    `scored_logprob` is the log-probability, in nats, of the tokens that the request had `scored`.
    """

    answer: str
    trace: Trace
    seconds: dict[str, float]
    stopped: bool = False
    scored_logprob: float | None = None

    @property
    def answer_ids(self) -> tuple[int, ...]:
        """The token ids of the recorded words of the answer."""
        return tuple(word.id for word in self._words if word.id is not None)

    @property
    def logprob(self) -> float | None:
        """The log-probability of `answer_ids`, in nats; None where it was not recorded."""
        found = [word.logprob for word in self._words]
        known = [value for value in found if value is not None]
        return sum(known) if known and len(known) == len(found) else None

    @property
    def word_secs(self) -> float | None:
        """Seconds that a word of the answer took after the first one; None if there was none."""
        words, spent = len(self._words), self.seconds.get("generate")
        return spent / words if spent and words else None

    @property
    def _words(self) -> list[WrittenWord]:
        return [word for word in self.trace.words if word.kind == "answer"]

    def summary(self) -> dict[str, Any]:
        """The command line's JSON."""
        return summary(self.trace)
