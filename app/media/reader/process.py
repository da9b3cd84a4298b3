"""What runs in a reader: one job on one file, then its end.

It imports what reads videos and nothing that holds a model. Messages say what was found; the last
one of a job has `done`, `refused` (a sentence) or `failed` (a kind).
"""

from __future__ import annotations

import dataclasses
import errno
import os
import socket
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from adaspark.errors import UserError
from adaspark.video.limits import DEFAULT_LIMITS, Limits
from adaspark.video.probe import VideoInfo, scan
from app.media import uploads
from app.media.reader.channel import Channel, Message
from app.media.reader.limits import ReaderLimits, confine

_SECS_BETWEEN_REPORTS = 0.05
_UNWANTED = 3  # exit status


def main() -> None:
    """Do the job that comes through the socket whose number is the first argument."""
    channel = Channel(socket.socket(fileno=int(sys.argv[1])))
    try:
        job = channel.receive()
    except EOFError:  # the server has ended
        return
    confine(ReaderLimits(**job["bounds"]))
    status = 0
    try:
        channel.send(_outcome(channel, job))
    except OSError:  # the server wants no more of this
        status = _UNWANTED
    os._exit(status)  # a decoder's threads may hang


def _outcome(channel: Channel, job: Message) -> Message:
    try:
        return _JOBS[job["kind"]](channel, **job["arguments"])
    except UserError as error:
        return {"refused": str(error)}
    except MemoryError:
        return {"failed": "memory"}
    except OSError as error:
        kind = {errno.EFBIG: "size", errno.ENOSPC: "disk"}.get(error.errno or 0)
        return {"failed": kind} if kind else _fault(error)
    except Exception as error:
        return _fault(error)


def _fault(error: BaseException) -> Message:
    """Where the program failed, without the message, which may name the file."""
    at = error.__traceback__
    while at and at.tb_next:
        at = at.tb_next
    place = f"{Path(at.tb_frame.f_code.co_filename).name}:{at.tb_lineno}" if at else ""
    return {"failed": "fault", "fault": f"{type(error).__name__} at {place}"}


def _describe(channel: Channel, path: str, limits: Message) -> Message:
    return {"done": _facts(scan(path, Limits(**limits)).info)}


def _prepare(channel: Channel, path: str, folder: str, limits: Message) -> Message:
    checked = Limits(**limits)
    info = uploads.check_upload(path, checked)
    proxy = uploads.make_proxy(
        info,
        Path(folder),
        limits=checked,
        on_progress=_reporter(channel),
        on_growing=lambda file: channel.send({"growing": file.name, "info": _facts(info)}),
    )
    copy = _facts(scan(proxy, DEFAULT_LIMITS).info)
    return {"done": proxy.name, "info": _facts(info), "copy": copy}


def _encode(channel: Channel, path: str, limits: Message) -> Message:
    report = _reporter(channel)
    return {"done": uploads.make_safe_copy(Path(path), Limits(**limits), report).name}


def _pictures(channel: Channel, path: str, limits: Message, times_secs: Sequence[float]) -> Message:
    for picture in scan(path, Limits(**limits)).pictures(times_secs):
        height, width, _ = picture.rgb.shape
        message = {"size": [height, width], "secs": picture.time_secs, "whole": picture.is_whole}
        channel.send(message, np.ascontiguousarray(picture.rgb).data.cast("B"))
    return {"done": True}


def _draw(
    channel: Channel, path: str, out: str, traces: Sequence[str], chosen: dict[str, Any]
) -> Message:
    # No other job draws.
    from adaspark.trace.trace import Trace
    from app.web.films import FilmOrder
    from viz.video import difference

    runs = [Trace.load(trace) for trace in traces]
    if "order" in chosen:
        FilmOrder(**chosen["order"]).write(runs[0], path, out)
    else:
        one, other = runs
        difference.write_difference(one, other, path, out, **chosen)
    return {"done": True}


_JOBS: dict[str, Callable[..., Message]] = {
    "describe": _describe,
    "prepare": _prepare,
    "encode": _encode,
    "pictures": _pictures,
    "draw": _draw,
}


def _facts(info: VideoInfo) -> Message:
    """A file's VideoInfo but for its path, which the server knows."""
    facts = dataclasses.asdict(info)
    return {name: facts[name] for name in facts if name not in ("path", "images")}


def _reporter(channel: Channel) -> Callable[[int, int], None]:
    """Says how far the work is, now and then, and waits for the word to go on.

    So that nothing is finished that the server no longer wants.
    """
    last = 0.0

    def report(done: int, total: int) -> None:
        nonlocal last
        if done == total or time.monotonic() - last > _SECS_BETWEEN_REPORTS:
            channel.send({"frames": [done, total]})
            channel.receive()
            last = time.monotonic()

    return report


if __name__ == "__main__":
    main()
