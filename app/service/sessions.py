"""Sessions, one for each open page: the chosen video, the question, and the runs under way."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from pathlib import Path

from cachetools import LRUCache

from adaspark.model.request import Options
from adaspark.video.probe import VideoInfo
from app.media.samples import Sample
from app.service.queue import Run

MAX_SESSIONS = 512
BRIEF_WORDS = 8
"""The least words allowed to a run that a moved control starts."""


@dataclass(frozen=True)
class Video:
    """A checked video: the file that player and sampler share, and how the page names it.

    `upload` is what was found in an uploaded file; `path` is then its proxy.
    """

    path: Path
    name: str
    sample: Sample | None = None
    upload: VideoInfo | None = None


@dataclass(frozen=True)
class Preview:
    """A file that plays while the rest of it is written, and how long it will be."""

    path: Path
    duration_secs: float


@dataclass
class Asked:
    """A question about a video; `words` is how many its last answer had, None before one."""

    video: Video
    question: str
    words: int | None = None

    def briefly(self, options: Options) -> Options:
        """Options for another run of it, with an answer about as long as the last one."""
        if self.words is None:
            return options
        maximum = max(self.words, BRIEF_WORDS)
        return replace(options, max_new_tokens=min(options.max_new_tokens, maximum))


@dataclass
class Session:
    """What is remembered of one open page. `refusal` says why no video is chosen.

    `choices` counts the videos picked, so that one that takes long does not replace a later one.
    `own` is the last upload, and `preview` one that can be played while it is prepared. `run` is
    the run in view, `beside` one to compare with it. Thread-safe: a page may send several requests
    at once.
    """

    choices: int = 0
    video: Video | None = None
    own: Video | None = None
    refusal: str | None = None
    preview: Preview | None = None
    asked: Asked | None = None
    run: Run | None = None
    beside: Run | None = None
    _has_left: bool = field(default=False, init=False, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def choose(self) -> int:
        """Begin a choice of video; returns its number."""
        with self._lock:
            self.choices += 1
            return self.choices

    def settle(self, choice: int, video: Video | None, refusal: str | None = None) -> None:
        """End a choice, unless a later one has begun."""
        with self._lock:
            if choice == self.choices:
                self.video, self.refusal = video, refusal

    def stop(self) -> None:
        """End the runs under way; what they have written so far is kept."""
        with self._lock:
            for run in (self.run, self.beside):
                if run is not None:
                    run.stop.set()

    def leave(self) -> None:
        """End the runs under way, and any that a request still begins."""
        with self._lock:
            self._has_left = True
        self.stop()

    def begin(self, asked: Asked) -> Run:
        """A new run; those under way are cancelled."""
        with self._lock:
            for run in (self.run, self.beside):
                if run is not None:
                    run.cancel()
            self.run, self.asked = self._new_run(), asked
            return self.run

    def begin_beside(self) -> Run:
        """A new run beside the one in view; the last such run is cancelled."""
        with self._lock:
            if self.beside is not None:
                self.beside.cancel()
            self.beside = self._new_run()
            return self.beside

    def _new_run(self) -> Run:
        run = Run()
        if self._has_left:
            run.stop.set()
        return run


class _Newest(LRUCache[str, Session]):
    """Sessions by id; the runs of a session that is dropped are ended."""

    def popitem(self) -> tuple[str, Session]:
        """Called by the cache to drop the longest silent one."""
        session_id, session = super().popitem()
        session.leave()
        return session_id, session


class Sessions:
    """At most `maximum` sessions, the longest silent ones forgotten first; thread-safe."""

    def __init__(self, maximum: int = MAX_SESSIONS) -> None:
        self._from_id = _Newest(maximum)
        self._lock = threading.Lock()

    def get(self, session_id: str) -> Session:
        """The session of an id, a new one if it is unknown."""
        with self._lock:
            return self._from_id.setdefault(session_id, Session())

    def forget(self, session_id: str) -> None:
        """Stop and forget one session."""
        with self._lock:
            session = self._from_id.pop(session_id, None)
        if session is not None:
            session.leave()

    def forget_all(self) -> None:
        """Stop and forget all sessions."""
        for session_id in list(self._from_id):
            self.forget(session_id)
