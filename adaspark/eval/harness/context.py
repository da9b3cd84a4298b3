"""What an evaluation's command works with: a model, its results on disk, a budget of time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from adaspark.assets import BUNDLED_MODEL
from adaspark.errors import UserError
from adaspark.eval.harness.conditions import Condition
from adaspark.eval.harness.runner import Runner
from adaspark.eval.report.results import Results, fingerprint
from adaspark.method.config import AdaSparkConfig
from adaspark.model.checkpoint import BUNDLED, BUNDLED_SPARSE, Checkpoint

Job = TypeVar("Job")
Value = TypeVar("Value")

_PROGRESS_SECS = 10.0


def option(default: Value, help_text: str) -> Value:
    """A field of a `Plan` that the command line can set; `help_text` is its help.

    `items_a_family: int = option(500, "...")` becomes `--items-a-family N`; a tuple takes one value
    or more, of the kind of its first. The plan's `__post_init__` raises UserError for a bad value.
    """
    made: Value = field(default=default, metadata={"help": help_text})
    return made


@dataclass
class Context:
    """One run of one command.

    `config` is the checkpoint's own, with the dials that were typed. `seed` moves all scenes.
    `deadline` is on the clock of `time.monotonic`; `say` reports progress.
    """

    loaded: Checkpoint
    config: AdaSparkConfig
    results: Results
    seed: int = 0
    deadline: float | None = None
    say: Callable[[str], None] = print

    @cached_property
    def runner(self) -> Runner:
        """The checkpoint, ready to answer clips."""
        return Runner(self.loaded)

    @property
    def adaspark(self) -> Condition:
        """The method with these settings, as a condition."""
        return Condition("AdaSpark", self.config)

    @property
    def one_p(self) -> Condition:
        """The same with one p for all attention, as the paper has it: for what asks which cubes
        words choose, where words that read everything would choose none.
        """
        return Condition("AdaSpark", replace(self.config, text_top_p=None, text_keep=None))

    def in_time(self, jobs: Sequence[Job], name: Callable[[Job], str] = str) -> Iterator[Job]:
        """The jobs, while the budget lasts; the rest are recorded as left out.

        A job that began is finished. Put first what must not be missing.
        """
        reported = time.monotonic()
        for index, job in enumerate(jobs):
            if time.monotonic() - reported > _PROGRESS_SECS:
                reported = time.monotonic()
                self.say(f"{index} of {len(jobs)} done; {name(job)} …")
            if self.deadline is not None and time.monotonic() >= self.deadline:
                left = [name(job) for job in jobs[index:]]
                self.results.data["left_out"] = [*self.results.data.get("left_out", []), *left]
                self.say(f"The budget is spent; left out: {', '.join(dict.fromkeys(left))}.")
                return
            yield job


def weights_of(model: str) -> dict[str, str]:
    """Fingerprints of a model's weight files, by their names: a part of every plan.

    Raises UserError for a name that is neither bundled nor a folder with weights.
    """
    folder = BUNDLED_MODEL if model in (BUNDLED, BUNDLED_SPARSE) else Path(model)
    found = {path.name: fingerprint(path) for path in sorted(folder.glob("*.safetensors"))}
    if not found:
        raise UserError(
            f"{model} holds no weights: evaluations take mini, mini-sparse, or a folder that "
            "`adaspark train` wrote."
        )
    return found


def plan_dict(plan: Any, model: str) -> dict[str, Any]:
    """What names a run's items: the plan's fields, the model and its weights."""
    return {**vars(plan), "model": model, "weights": weights_of(model)}
