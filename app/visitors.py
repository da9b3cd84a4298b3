"""Who is on the page: the video each visitor chose, what they asked, and their run under way."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from pathlib import Path

from cachetools import LRUCache

from adaspark.request import Options
from adaspark.video_probe import VideoInfo
from app.runs import Run
from app.samples import Sample

MAX_SESSIONS = 512
BRIEF_WORDS = 8
"""Words that a moved dial may write although the answer in view has fewer."""


@dataclass(frozen=True)
class Video:
    """A checked video: the file that player and sampler share, and how the page names it.

    `upload` is what was found in an uploaded file; `path` is then a copy of it.
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
        """The options of another run of it: pictures are wanted, not a longer answer."""
        if self.words is None:
            return options
        maximum = max(self.words, BRIEF_WORDS)
        return replace(options, max_new_tokens=min(options.max_new_tokens, maximum))


@dataclass
class Session:
    """What is remembered of one open page. `refusal` says why no video is chosen.

    `choices` counts the videos picked: one that takes long must not replace a later one. `preview`
    is an upload that can be played while it is prepared. `beside` is a run to compare with, during
    which the one in view stays. A page may send several requests at once; what changes more than
    one thing is done under a lock.
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
        """End the runs under way; what they have so far stays."""
        with self._lock:
            for run in (self.run, self.beside):
                if run is not None:
                    run.stop.set()

    def leave(self) -> None:
        """End the runs under way, and any that a request on its way still begins."""
        with self._lock:
            self._has_left = True
        self.stop()

    def begin(self, asked: Asked) -> Run:
        """A new run, which takes the place of those under way."""
        with self._lock:
            for run in (self.run, self.beside):
                if run is not None:
                    run.cancel()
            self.run, self.asked = self._new_run(), asked
            return self.run

    def begin_beside(self) -> Run:
        """A new run beside the one in view, in place of the last such run."""
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
    """Visitors by session; the runs of one that has to go are ended."""

    def popitem(self) -> tuple[str, Session]:
        """Called by the cache for the longest silent one."""
        session_id, session = super().popitem()
        session.leave()
        return session_id, session


class Sessions:
    """The visitors by session, the longest silent ones forgotten first; thread-safe."""

    def __init__(self, maximum: int = MAX_SESSIONS) -> None:
        self._from_id = _Newest(maximum)
        self._lock = threading.Lock()

    def get(self, session_id: str) -> Session:
        """The visitor of a session, a new one where it is unknown."""
        with self._lock:
            return self._from_id.setdefault(session_id, Session())

    def forget(self, session_id: str) -> None:
        """Stop and forget one visitor."""
        with self._lock:
            session = self._from_id.pop(session_id, None)
        if session is not None:
            session.leave()

    def forget_all(self) -> None:
        """Stop and forget everyone."""
        for session_id in list(self._from_id):
            self.forget(session_id)
