"""Sessions, one for each open page: the chosen video, the question, and the runs under way."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

from cachetools import LRUCache

from adaspark.model.conversation import Conversation
from adaspark.model.request import Options
from adaspark.video.probe import VideoInfo
from app.media.samples import Sample
from app.service.queue import Run

MAX_SESSIONS = 512
Keep = Literal["nothing", "video", "conversation"]
"""What a run keeps for the next one of its session: nothing, the clip in the model's cache, or that
and what was said about it."""
KEEP = get_args(Keep)
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

    def own_sampling(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Sampling as it was asked for, and a clip's own where nothing was."""
        own = self.sample.sampling if self.sample else {}
        return {**asked, **{name: own[name] for name in own if asked.get(name) is None}}

    def own_options(self, options: Options) -> Options:
        """Options with the clip's own sampling where none was asked for."""
        return replace(options, **self.own_sampling(options.sampling))


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
    """What is remembered of one open page.

    `visitor` is whose page it is, `number` the page's own of its newest run. `choices` counts the
    videos picked, so that one that takes long does not replace a later one. `own` is the last
    upload, and `preview` one that can be played while it is prepared. `run` is the run in view,
    `beside` one to compare with it, `called` those of a program. `clip` is what is held of the clip
    that was asked about last, and `talk` the same with what a program said of it. Thread-safe: a
    page may send several requests at once.
    """

    visitor: str = ""
    number: int = 0
    choices: int = 0
    video: Video | None = None
    own: Video | None = None
    preview: Preview | None = None
    asked: Asked | None = None
    run: Run | None = None
    beside: Run | None = None
    called: list[Run] = field(default_factory=list)
    clip: Conversation = field(default_factory=Conversation)
    talk: Conversation = field(default_factory=lambda: Conversation(keeps_turns=True))
    _has_left: bool = field(default=False, init=False, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def choose(self) -> int:
        """Begin a choice of video; returns its number. What was held of the last one is freed, and
        a run that is still about it leaves nothing.
        """
        with self._lock:
            self.clip.close()
            self.clip = Conversation()
            self.choices += 1
            return self.choices

    def settle(self, choice: int, video: Video | None) -> None:
        """End a choice, unless a later one has begun."""
        with self._lock:
            if choice == self.choices:
                self.video = video

    def stop(self, number: int | None = None) -> None:
        """End the runs under way; what they have written so far is kept. The page's run `number`
        is meant, where it is told: requests may overtake one another, and one that has begun after
        it goes on.
        """
        with self._lock:
            if number is not None and number < self.number:
                return
            for run in (self.run, self.beside, *self.called):
                if run is not None:
                    run.stop.set()

    def leave(self) -> None:
        """End the runs under way, and any that a request still begins."""
        with self._lock:
            self._has_left = True
        self.stop()
        self.clip.close()
        self.talk.close()

    def conversation(self, keep: Keep) -> Conversation | None:
        """Where a run leaves what it is to keep for the next one."""
        return {"nothing": None, "video": self.clip, "conversation": self.talk}[keep]

    def begin(self, asked: Asked, number: int = 0) -> Run:
        """A new run; those under way are cancelled. Where the page numbers its runs, and one of a
        later `number` has begun, it is this one that is.
        """
        with self._lock:
            if number < self.number:
                late = self._new_run()
                late.cancel()
                return late
            self.number = number
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

    @contextmanager
    def begin_call(self) -> Iterator[Run]:
        """A run of a program, which may have several under way at once."""
        with self._lock:
            run = self._new_run()
            self.called.append(run)
        try:
            yield run
        finally:
            with self._lock:
                self.called.remove(run)

    def _new_run(self) -> Run:
        run = Run(self.visitor)
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

    def __len__(self) -> int:
        return len(self._from_id)

    def get(self, session_id: str) -> Session:
        """The session of an id, a new one if it is unknown."""
        with self._lock:
            return self._from_id.setdefault(session_id, Session(session_id))

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
