"""Finished runs, kept by keys that cannot be guessed, and the message that describes each."""

from __future__ import annotations

import json
import re
import secrets
import threading
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from cachetools import LRUCache

from adaspark.model.byte_store import ByteStore
from adaspark.model.events import Result
from adaspark.model.request import Options
from adaspark.trace.meta import Clip, required
from app.service.messages import FinishedRun
from app.service.sessions import Video
from viz.data.scene import scene
from viz.data.statistics import TraceView

if TYPE_CHECKING:
    from adaspark.trace.trace import Trace

MOST_VIEWS = 4


class Views:
    """The views that were read last. What one has computed of its trace takes more room than the
    trace, and is soon computed anew, so that few are kept. Thread-safe.
    """

    def __init__(self, most: int = MOST_VIEWS) -> None:
        self._from_key: LRUCache[str, TraceView] = LRUCache(most)
        self._lock = threading.Lock()

    def of(self, key: str, trace: Trace) -> TraceView:
        """The view of a trace, by the key of its result."""
        with self._lock:
            found = self._from_key.get(key)
            if found is None:
                self._from_key[key] = found = TraceView(trace)
            return found

    def forget(self, key: str) -> None:
        """A result is gone."""
        with self._lock:
            self._from_key.pop(key, None)


@dataclass(frozen=True)
class Finished:
    """A run that has ended, and the options it ran with. `url` is where the browser finds its
    video.
    """

    key: str
    video: Video
    url: str
    result: Result
    options: Options
    scene_json: str
    is_recorded: bool
    views: Views = field(repr=False, compare=False)

    @property
    def view(self) -> TraceView:
        """Its trace as figures and exports read it."""
        return self.views.of(self.key, self.result.trace)

    @property
    def question(self) -> str:
        """What was asked."""
        return str(self.result.trace.meta.question)

    @property
    def stem(self) -> str:
        """The name of its files, of plain letters and digits."""
        name = re.sub(r"\.\w+$", "", self.video.name, flags=re.ASCII)
        plain = re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-").lower()
        return f"adaspark-{plain or 'video'}"

    @property
    def upload_path(self) -> Path | None:
        """The visitor's own video, which goes when the visitor does; None for any other."""
        return self.video.path if self.video.upload else None

    def answers(self, question: str, options: Options) -> bool:
        """Whether a run of this question with these options would be the same as this one."""
        same = self.result.trace.meta.config == options.config
        own_sampling = set(options.sampling.values()) == {None}
        return same and own_sampling and question == self.question

    def message(self) -> FinishedRun:
        """The last message of the run; the scene and the figures are fetched by its key."""
        return {
            "state": "stopped" if self.result.stopped else "done",
            "answer": self.result.answer,
            "question": self.question,
            "url": self.url,
            "key": self.key,
            "stem": self.stem,
            "recorded": self.is_recorded,
            "word_secs": self.result.word_secs,
            "summary": self.result.summary(),
        }


class Results:
    """The newest results that fit in `limit_bytes`, and all permanent ones."""

    def __init__(self, limit_bytes: int) -> None:
        self._views = Views()
        self._made: ByteStore[Finished] = ByteStore(
            limit_bytes, on_drop=lambda gone: self._views.forget(gone.key)
        )
        self._permanent: dict[str, Finished] = {}

    @property
    def held_bytes(self) -> int:
        """Bytes of the results that were made here."""
        return self._made.held_bytes

    def add(
        self,
        video: Video,
        url: str,
        result: Result,
        options: Options,
        *,
        recorded: bool = False,
        permanent: bool = False,
    ) -> Finished:
        """Keep a result under a new key; a `permanent` one for good. An empty `url`: no video."""
        trace = result.trace
        trace.meta.clip = _named_clip(video, trace.meta.clip)
        key = secrets.token_urlsafe(16)
        text = json.dumps(scene(self._views.of(key, trace), video_url=url or None))
        finished = Finished(key, video, url, result, options, text, recorded, self._views)
        if permanent:
            self._permanent[finished.key] = finished
        else:
            self._made.put(finished.key, finished, len(text) + _trace_bytes(result))
        return finished

    def add_recorded(
        self, video: Video, url: str, result: Result, *, permanent: bool = False
    ) -> Finished:
        """Keep a run from a file, with the settings that it names. Raises UserError without any."""
        options = video.own_options(Options(required(result.trace.meta.config, "settings")))
        return self.add(video, url, result, options, recorded=True, permanent=permanent)

    def drop(self, key: str) -> None:
        """Forget a result that was made here."""
        self._made.drop(key)

    def get(self, key: str) -> Finished | None:
        """The result of a key; None if it is unknown or was dropped."""
        return self._permanent.get(key) or self._made.get(key)


def _named_clip(video: Video, clip: Clip | None) -> Clip:
    """The clip as the viewer names it: the visitor's file, not the copy made of it."""
    upload = video.upload
    size = {"width": upload.width, "height": upload.height} if upload else {}
    return replace(clip or Clip(video.name), name=video.name, **size)


def _trace_bytes(result: Result) -> int:
    return sum(getattr(value, "nbytes", 0) for value in vars(result.trace).values())
