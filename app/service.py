"""One request: a visitor's video, their question, the run, and what the page is told of it.

No gradio here. What goes to the page is plain JSON: a video card, the states of a run, a scene.
Results are looked up by keys that cannot be guessed, never by anything a visitor can name.
"""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from adaspark.request import Options, Phase, Result, Word
from app.pictures import draw_figure
from app.runs import Gate, sentence
from app.samples import Sample
from app.settings import Settings, checked_question
from app.store import ByteStore, Footage
from app.videos import Videos, sample_video
from app.visitors import Asked, Video, Visitor, Visitors
from viz.scene import scene

Message = dict[str, Any]
STORE_BYTES = 256 * 2**20
FOOTAGE_BYTES = 2 * 2**30


class Service:
    """Answers the page. Safe to call from many threads.

    `folder` holds the copies of uploaded videos, `url_from_path` says where the browser finds a
    file, `why_device` why the model runs where it does. The two limits bound what is kept of
    finished runs (memory) and of uploads (disk).
    """

    def __init__(
        self,
        engine: Any,
        folder: Path,
        *,
        samples: Sequence[Sample] = (),
        url_from_path: Callable[[Path], str] = str,
        why_device: str = "as asked",
        store_bytes: int = STORE_BYTES,
        footage_bytes: int = FOOTAGE_BYTES,
    ) -> None:
        self.engine = engine
        self.url_from_path = url_from_path
        self.why_device = why_device
        self._results: ByteStore[tuple[str, Result]] = ByteStore(store_bytes)
        self._visitors = Visitors()
        self.videos = Videos(
            engine,
            self._visitors,
            Footage(folder, footage_bytes),
            samples=samples,
            url_from_path=url_from_path,
        )
        self._gate = Gate()
        self._first: Future[tuple[Asked, Message] | None] = Future()

    def model_facts(self) -> Message:
        """What the header says of the model, and the cards of the sample clips."""
        return {
            "model": self.engine.name,
            "device": self.engine.device,
            "why_device": self.why_device,
            "dtype": self.engine.dtype,
            "backend": self.engine.backend,
            "bundled": self.engine.is_bundled,
            "samples": self.videos.sample_cards(),
        }

    def ask(self, session: str, question: Any, settings: Settings) -> Iterator[Message]:
        """Answer a question about the chosen video: the states of the run, the last one final.

        A newer run of the same visitor ends this one without a word. Never raises: what goes
        wrong is the last message.
        """
        visitor = self._visitors.get(session)
        try:
            options = settings.options()
            asked = Asked(self.videos.chosen(visitor), checked_question(question))
            yield from self._run(visitor, asked, options)
        except Exception as error:
            yield {"state": "error", "error": sentence(error)}

    def retune(self, session: str, settings: Settings) -> Iterator[Message]:
        """The last question again with other settings; nothing where none was asked."""
        visitor = self._visitors.get(session)
        try:
            if visitor.asked is not None:
                yield from self._run(visitor, visitor.asked, settings.options())
        except Exception as error:
            yield {"state": "error", "error": sentence(error)}

    def stop(self, session: str) -> None:
        """End the visitor's run; what it has so far stays."""
        self._visitors.get(session).stop()

    def leave(self, session: str) -> None:
        """Forget a visitor."""
        self._visitors.forget(session)

    def close(self) -> None:
        """Stop every run."""
        self._visitors.forget_all()

    def greet(self, session: str, settings: Settings) -> Message:
        """Choose the first sample clip for a page that has just opened; empty without samples."""
        first = next(iter(self.videos.samples), None)
        return self.videos.choose_sample(session, first, settings) if first else {}

    def warm_up(self) -> None:
        """Answer the first sample's first question in the background: every page opens with it."""
        sample = next(iter(self.videos.samples.values()), None)
        if sample is None or not sample.questions or not self.engine.is_bundled:
            self._first.set_result(None)
            return
        asked = Asked(sample_video(sample), sample.questions[0])
        threading.Thread(target=self._answer_first, args=(asked,), daemon=True).start()

    def first_result(self, session: str) -> Message:
        """Wait for the result of `warm_up`; the visitor's dials then apply to its question."""
        first = self._first.result()
        if first is None:
            return {}
        visitor = self._visitors.get(session)
        visitor.asked = visitor.asked or first[0]
        return first[1]

    def scene_json(self, key: str) -> str | None:
        """The scene of a finished run as JSON text; None for an unknown or forgotten key."""
        stored = self._results.get(key)
        return stored[0] if stored else None

    def figure_json(self, key: str, name: str, *, layer: int, theme: str) -> str | None:
        """One figure of a finished run as plotly JSON; None for an unknown key or figure."""
        stored = self._results.get(key)
        return draw_figure(stored[1], name, layer=layer, theme=theme) if stored else None

    def _run(self, visitor: Visitor, asked: Asked, options: Options) -> Iterator[Message]:
        run = visitor.begin(asked)
        state = {"state": "running", "answer": "", "phase": None}
        with self._gate.enter() as ahead:
            if ahead:
                yield {**state, "phase": {"name": "waiting", "done": 0, "total": ahead}}
            events = self.engine.ask(asked.video.path, asked.question, options, stop=run.stop)
            for event in events:
                if run.superseded:
                    return
                if isinstance(event, Result):
                    yield self._finish(asked, event)
                    return
                yield dict(_advance(state, event))
        if not run.superseded:
            yield {"state": "stopped"}

    def _finish(self, asked: Asked, result: Result) -> Message:
        key, video = secrets.token_urlsafe(16), asked.video
        result.trace.meta["clip"] = _named_clip(video, result.trace.meta.get("clip") or {})
        text = json.dumps(scene(result.trace, video_url=self.url_from_path(video.path)))
        self._results.put(key, (text, result), len(text) + _trace_bytes(result))
        return {
            "state": "stopped" if result.stopped else "done",
            "answer": result.answer,
            "question": asked.question,
            "url": self.url_from_path(video.path),
            "key": key,
            "summary": result.summary(),
        }

    def _answer_first(self, asked: Asked) -> None:
        try:
            last = list(self._run(Visitor(), asked, Options(self.engine.default_config)))[-1]
            self._first.set_result((asked, last))
        except Exception as error:
            sentence(error)
            self._first.set_result(None)


def _advance(state: Message, event: Phase | Word) -> Message:
    """The state of a run after one more event, the whole of it: the page may miss one."""
    if isinstance(event, Word):
        state["answer"] += event.text
    else:
        state["phase"] = {"name": event.name, "done": event.done, "total": event.total}
    return state


def _named_clip(video: Video, clip: Message) -> Message:
    """What the viewer says of the clip: the visitor's file, not the copy made of it."""
    upload = video.upload
    size = {"width": upload.width, "height": upload.height} if upload else {}
    return {**clip, "name": video.name, **size}


def _trace_bytes(result: Result) -> int:
    return sum(getattr(value, "nbytes", 0) for value in vars(result.trace).values())
