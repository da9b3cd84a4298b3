"""Finished runs, kept by keys that cannot be guessed, and the message that describes each."""

from __future__ import annotations

import json
import re
import secrets
from dataclasses import dataclass, replace

from adaspark.model.byte_store import ByteStore
from adaspark.model.request import Options, Result
from adaspark.trace.meta import Clip
from app.service.messages import FinishedRun
from app.service.sessions import Video
from viz.data.scene import scene
from viz.data.statistics import TraceView


@dataclass(frozen=True)
class Finished:
    """A run that has ended, and the options it ran with. `url` is where the browser finds its
    video; `view` is its trace as figures and exports read it.
    """

    key: str
    video: Video
    url: str
    result: Result
    options: Options
    view: TraceView
    scene_json: str
    is_recorded: bool

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
            "summary": self.result.summary(),
        }


class Results:
    """The newest results that fit in `limit_bytes`, and all recorded ones."""

    def __init__(self, limit_bytes: int) -> None:
        self._made: ByteStore[Finished] = ByteStore(limit_bytes)
        self._recorded: dict[str, Finished] = {}

    def add(
        self, video: Video, url: str, result: Result, options: Options, *, recorded: bool = False
    ) -> Finished:
        """Keep a result under a new key."""
        trace = result.trace
        trace.meta.clip = _named_clip(video, trace.meta.clip)
        view = TraceView(trace)
        text = json.dumps(scene(view, video_url=url))
        key = secrets.token_urlsafe(16)
        finished = Finished(key, video, url, result, options, view, text, recorded)
        if recorded:
            self._recorded[finished.key] = finished
        else:
            self._made.put(finished.key, finished, len(text) + _trace_bytes(result))
        return finished

    def get(self, key: str) -> Finished | None:
        """The result of a key; None if it is unknown or was dropped."""
        return self._recorded.get(key) or self._made.get(key)


def _named_clip(video: Video, clip: Clip | None) -> Clip:
    """The clip as the viewer names it: the visitor's file, not the copy made of it."""
    upload = video.upload
    size = {"width": upload.width, "height": upload.height} if upload else {}
    return replace(clip or Clip(video.name), name=video.name, **size)


def _trace_bytes(result: Result) -> int:
    return sum(getattr(value, "nbytes", 0) for value in vars(result.trace).values())
