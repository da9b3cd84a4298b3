"""The readers: processes that wait for a file, each for one, and are replaced as they are used.

They are started anew, never forked from the server, whose memory holds the model.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from adaspark.errors import UserError
from adaspark.video.file import shown_name
from app.media.reader.channel import Channel, Message
from app.media.reader.limits import ReaderLimits

log = logging.getLogger(__name__)
Received = TypeVar("Received")
BUSY = "Too many videos are being read; try again in a minute."
NO_READERS = "Windows cannot start what reads uploads; run this server in WSL or Docker."
_PATIENCE_SECS = 60.0
_BYTES_A_SEC = 2**20  # a large file may be read this slowly before the first news of it
# All that a reader is told of the server's environment, which may hold keys.
_PASSED_ON = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PYTHONHOME", "SYSTEMROOT", "TMPDIR")
# Address space is limited: threads that are not used shall not reserve it.
_OWN = {"MALLOC_ARENA_MAX": "2", "OPENBLAS_NUM_THREADS": "1", "SVT_LOG": "1"}


class Reader:
    """One process and the job on one file that it is given."""

    def __init__(self, bounds: ReaderLimits) -> None:
        if sys.platform == "win32":
            raise UserError(NO_READERS)
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "app.media.reader.process", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # a Ctrl-C is for the server alone
            )
        self._bounds = bounds
        self._name = ""
        self._silent_secs = bounds.silent_secs
        self._left_secs = bounds.wait_secs
        self._channel = Channel(ours)

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    def is_alive(self) -> bool:
        """Whether the process still waits or works."""
        return self._process.poll() is None

    def begin(self, kind: str, path: Path, **arguments: Any) -> None:
        """Send the job: one of `app.media.reader.process`."""
        self._name = shown_name(path)
        with suppress(OSError, ValueError):  # a file that is not there is the reader's to refuse
            self._silent_secs += path.stat().st_size / _BYTES_A_SEC
        arguments["path"] = str(path)
        bounds = dataclasses.asdict(self._bounds)
        try:
            self._channel.send({"kind": kind, "arguments": arguments, "bounds": bounds})
        except OSError as error:
            raise self._died(error) from None

    def go_on(self) -> None:
        """Answer a report, which the process waits for."""
        with suppress(OSError):  # if it has died, the next message says so
            self._channel.send({})

    def receive(self, *, is_patient: bool = False) -> Message:
        """The next message. Raises UserError, one sentence, if the file is refused or the process
        fails on it; at the latest when it was silent for too long, unless that `is_patient`.
        """
        message = self._waited_for(self._channel.receive, is_patient=is_patient)
        if "refused" in message:
            raise UserError(str(message["refused"]))
        if "failed" in message:
            raise UserError(self._sentence(str(message["failed"]), str(message.get("fault"))))
        return message

    def fill(self, buffer: memoryview) -> None:
        """Receive the bytes after a message. Raises as `receive` does."""
        self._waited_for(lambda secs: self._channel.fill(buffer, secs))

    @contextmanager
    def checking(self) -> Iterator[None]:
        """Around what is done with its messages: if they are not as agreed, it has failed."""
        try:
            yield
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            fault = f"{type(error).__name__} in what it says"
            raise UserError(self._sentence("fault", fault)) from None

    def kill(self) -> None:
        """End the process, whatever it does."""
        self._process.kill()
        self._process.wait()
        self._channel.close()

    def _waited_for(
        self, wait: Callable[[float], Received], *, is_patient: bool = False
    ) -> Received:
        start = time.monotonic()
        try:
            return wait(self._left_secs if is_patient else min(self._silent_secs, self._left_secs))
        except TimeoutError:
            raise UserError(self._sentence("time")) from None
        except (EOFError, OSError) as error:
            raise self._died(error) from None
        except ValueError:
            raise UserError(self._sentence("fault", "a message that cannot be read")) from None
        finally:
            self._left_secs -= time.monotonic() - start

    def _died(self, seen: Exception) -> UserError:
        status = self._process.wait()
        if status == -signal.SIGXCPU:
            return UserError(self._sentence("time"))
        if status == -signal.SIGKILL:  # by the system: it is out of memory
            return UserError(self._sentence("memory"))
        return UserError(self._sentence("fault", f"{type(seen).__name__}, exit status {status}"))

    def _sentence(self, kind: str, fault: str = "") -> str:
        """Why a file is refused that the process could not finish."""
        if fault:
            log.warning("A reader failed: %s", fault)
        return _SENTENCES.get(kind, _SENTENCES["fault"]).format(
            name=self._name, memory_mb=self._bounds.memory_mb, file_mb=self._bounds.file_mb
        )


_SENTENCES = {
    "time": "{name} takes too long to read: shorten it, or convert it to H.264 in an MP4.",
    "memory": "{name} needs more than the {memory_mb:,} MB of memory that reading a video may take "
    "here: scale it down.",
    "size": "The playable copy of {name} would pass {file_mb:,} MB: shorten the video.",
    "disk": "This server's disk is full, so it takes no video now: try again in a while.",
    "fault": "{name} cannot be read, what decodes it broke down on it: convert it to H.264 in an "
    "MP4.",
}


class Readers:
    """Keeps `spare` readers waiting and lets at most `most` work at once. Thread-safe."""

    def __init__(
        self, bounds: ReaderLimits | None = None, *, spare: int = 1, most: int | None = None
    ) -> None:
        self._bounds = bounds or ReaderLimits()
        self._spare = spare
        self._slots = threading.BoundedSemaphore(most or max(4, os.cpu_count() or 1))
        self._waiting: list[Reader] = []
        self._lock = threading.Lock()
        self._owner = os.getpid()
        self._end = weakref.finalize(self, _kill_all, self._waiting)

    def start(self) -> None:
        """Start the spare readers."""
        if self._is_forked() or sys.platform == "win32":
            return
        with self._lock:
            while len(self._waiting) < self._spare and self._end.alive:
                self._waiting.append(Reader(self._bounds))

    @contextmanager
    def reader(self) -> Iterator[Reader]:
        """A reader for one job, ended with it. Raises UserError if too many are at work."""
        if not self._slots.acquire(timeout=_PATIENCE_SECS):
            raise UserError(BUSY)
        try:
            reader = self._take()
            try:
                self.start()
                yield reader
            finally:
                reader.kill()
        finally:
            self._slots.release()

    def close(self) -> None:
        """End those that wait; no more are kept."""
        self._end()

    def _is_forked(self) -> bool:
        """Whether this is a copy of the server, which has no part in its spare readers."""
        return self._owner != os.getpid()

    def _take(self) -> Reader:
        if self._is_forked():
            return Reader(self._bounds)
        with self._lock:
            while self._waiting:
                reader = self._waiting.pop(0)
                if reader.is_alive():
                    return reader
                reader.kill()
        return Reader(self._bounds)


def _kill_all(readers: list[Reader]) -> None:
    while readers:
        readers.pop().kill()


def _environment() -> dict[str, str]:
    passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return {**passed_on, **_OWN, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
