"""An engine whose answers are made in another process, one that has the GPU for a while.

On ZeroGPU a function that is marked runs in a forked process, which is lent a GPU for the seconds
that were asked for; what goes in and comes out of it is pickled.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from adaspark.errors import UserError
from adaspark.model.conversation import Conversation
from adaspark.model.request import Estimate, Event, Options

Answer = Callable[[Path, str, Options, float], Iterator[Event | UserError]]
NO_TURN = (
    "This Space's GPU is not to be had now ({}). The recorded runs of the sample clips need none; "
    "or duplicate the Space, or run it on your own machine."
)
_MIN_SECS, _MAX_SECS = 15.0, 120.0
_SECS_PER_1000_TOKENS = 1.5
_SECS_PER_WORD = 0.06


class ForkedEngine:
    """Stands for `engine`: what needs no GPU is asked of it here, answers of `answer`.

    `answer(path, question, options, secs)` yields the events of the engine's `ask`, or the
    UserError that it raises; `secs` is how long it may take.
    """

    def __init__(self, engine: Any, answer: Answer) -> None:
        self._engine, self._answer = engine, answer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def ask(
        self,
        path: Path,
        question: str,
        options: Options,
        *,
        stop: threading.Event,
        conversation: Conversation | None = None,
    ) -> Iterator[Event]:
        """The events of an answer; it ends without a result if it is stopped. A `conversation`
        stays empty: the process that has the GPU, and with it the cache, ends with its answer.

        What can be refused is refused here, before any of the visitor's time is used. Raises
        UserError.
        """
        estimate = self._engine.check(path, question, options)
        events = self._answer(path, question, options, gpu_secs(estimate, options))
        try:
            for event in events:
                if isinstance(event, UserError):
                    raise event
                if stop.is_set():
                    return
                yield event
        except UserError:
            raise
        except Exception as error:
            if type(error).__module__.partition(".")[0] == "gradio":  # what the lender says
                said = str(getattr(error, "message", error)).rstrip(". ")
                raise UserError(NO_TURN.format(said)) from error
            raise
        finally:
            getattr(events, "close", lambda: None)()


def gpu_secs(estimate: Estimate, options: Options) -> float:
    """Seconds of GPU to ask for: what is asked for is taken from the visitor's quota at once.

    About twice what a 7B took on an H200 per token and word (`assets/results/bench/serve`), since
    half of another card is lent.
    """
    tokens = options.keep_tokens or estimate.video_tokens
    secs = 5 + _SECS_PER_1000_TOKENS * tokens / 1000 + _SECS_PER_WORD * options.max_new_tokens
    return min(max(secs, _MIN_SECS), _MAX_SECS)
