"""Who listens to a model: recorders, found by the model and by the thread that opened them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from adaspark.trace.recorder import Recorder
from adaspark.trace.trace import Trace

_opened: ContextVar[tuple[Recorder, ...]] = ContextVar("adaspark_recorders", default=())


def listening(recorders: list[Recorder]) -> list[Recorder]:
    """Of a model's recorders those of a call made here.

    Those opened in this context alone, if there are any, so that requests in several threads do
    not mix; else all of them: the call may come from a thread that the recording started.
    """
    mine = [recorder for recorder in _opened.get() if recorder in recorders]
    return mine or list(recorders)


@contextmanager
def recording(recorders: list[Recorder]) -> Iterator[Trace]:
    """Add a recorder to a model's for the block; the Trace is complete when it ends."""
    recorder = Recorder()
    token = _opened.set((*_opened.get(), recorder))
    recorders.append(recorder)
    try:
        yield recorder.trace
    finally:
        recorders.remove(recorder)
        _opened.reset(token)
        recorder.finish()
    if (why := recorder.silence) is not None:
        warnings.warn(f"record(model) recorded no prompt: {why}.", stacklevel=5)
