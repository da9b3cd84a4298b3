"""How far a tuning is, on one line: steps, time left and the loss of the last ones."""

from __future__ import annotations

import sys
from typing import Any

from tqdm import tqdm
from transformers import TrainerCallback


class Progress(TrainerCallback):  # type: ignore[misc, unused-ignore]
    """A bar in place of the Trainer's, which writes a dict now and then."""

    def __init__(self) -> None:
        self._bar: Any = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """A run that goes on begins where it was stopped."""
        self._bar = tqdm(
            total=state.max_steps, initial=state.global_step, unit="step", file=sys.stderr
        )

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """One step of the optimiser, of several questions."""
        self._bar.update(state.global_step - self._bar.n)

    def on_log(
        self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any
    ) -> None:
        """The mean loss since the last log."""
        if self._bar is not None and logs and "loss" in logs:
            self._bar.set_postfix_str(f"loss {float(logs['loss']):.3f}")

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """The line stays."""
        self._bar.close()
