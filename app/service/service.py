"""One request: the chosen video, the question, the run, and the messages that describe it.

No gradio here: messages are plain JSON.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from adaspark.errors import UserError
from adaspark.model.conversation import Conversation
from adaspark.model.events import Phase, Result, Word
from adaspark.model.request import Event, Options
from app.media.disk_store import ProxyStore
from app.media.reader.limits import ReaderLimits
from app.media.reader.pool import Readers
from app.media.samples import Sample
from app.media.videos import Videos
from app.service.admission import Waiting
from app.service.belongings import Belongings
from app.service.deferred_engine import DeferredEngine
from app.service.live_runs import LiveRuns
from app.service.messages import EngineFacts, Field, RunMessage, Running
from app.service.openings import Openings
from app.service.queue import RateLimit, Run, sentence
from app.service.rehearsals import Rehearsals
from app.service.results import Finished, Results
from app.service.runner import Runner
from app.service.sessions import BRIEF_WORDS, Asked, Keep, Sessions, Video
from app.service.settings import Settings, checked_question
from app.service.time_estimates import TimeEstimates
from app.web.limits import ServerLimits

FORGOTTEN = (
    "This page was away for long and was forgotten; load it anew, or choose its video again."
)
STOPPING_SECS = 2.0
"""How long a run may take to see that it was stopped."""


class Service:
    """Answers the page. Safe to call from many threads. What a page opens with is in `openings`.

    `folder` holds the copies of uploaded videos, `gallery` the recorded results by sample, and
    `url_from_path` says where the browser finds a file. `received` is where uploads arrive.
    """

    def __init__(
        self,
        engine: DeferredEngine,
        folder: Path,
        *,
        samples: Sequence[Sample] = (),
        gallery: Mapping[str, Result] | None = None,
        url_from_path: Callable[[Path], str] = str,
        limits: ServerLimits | None = None,
        received: Path | None = None,
    ) -> None:
        limits = limits or ServerLimits()
        self.engine = engine
        self.results = Results(limits.kept_results_mb * 2**20)
        self.sessions = Sessions()
        self.belongings = Belongings(limits.left_secs)
        self.time_estimates = TimeEstimates()
        self.readers = Readers(_bounds(limits))
        self.videos = Videos(
            engine,
            self.sessions,
            ProxyStore(folder, limits.kept_videos_mb * 2**20),
            self.time_estimates,
            samples=samples,
            gallery=gallery or {},
            url_from_path=url_from_path,
            limits=limits,
            readers=self.readers,
            received=received,
            own=lambda visitor, path: self.belongings.own(visitor, video=path),
        )
        self.limits = limits
        self.runner = Runner(limits, at_once=engine.at_once)
        self.admission = self.runner.admission
        self._rehearsals = Rehearsals(self.admission)
        self._rate = RateLimit(limits.visitor_runs)
        self.live_runs: LiveRuns[RunMessage] = LiveRuns()
        self.openings = Openings(
            engine, self.videos, self.results, self.sessions, self.belongings, limits, gallery or {}
        )

    def add_foreign(
        self, session_id: str, video: Video, result: Result, options: Options
    ) -> Finished:
        """A run of the chosen video that another studio made."""
        url = self.videos.url_from_path(video.path)
        finished = self.results.add(video, url, result, options, recorded=True)
        self._own(self.sessions.get(session_id).visitor, finished)
        return finished

    def ask(
        self, session_id: str, question: object, settings: Settings, number: int = 0
    ) -> Iterator[RunMessage]:
        """Answer a question about the chosen video: the states of the run, the last one final.

        A newer run of the same session, by the page's `number` of it, ends this one without another
        message. Never raises: an error is the last message.
        """
        session = self.sessions.get(session_id)
        field: Field | None = "dials"
        try:
            options = settings.options(self.limits)
            field = "video"
            video = self.videos.chosen(session)
            field = "question"
            asked = Asked(video, checked_question(question, self.limits))
            field = None
            self._rate.check(session_id)
            run = session.begin(asked, number)
            options = video.own_options(options)
            yield from self.run(run, asked, options, conversation=session.clip)
        except Exception as error:
            yield {"state": "error", "error": sentence(error), "field": field}

    def retune(self, session_id: str, settings: Settings, number: int = 0) -> Iterator[RunMessage]:
        """Answer the last question again with other settings; an error if none is remembered.

        The answer is at most as long as the one in view, or a few words if that is shorter.
        """
        session = self.sessions.get(session_id)
        field: Field | None = "dials"
        try:
            options = settings.options(self.limits)
            field = None
            asked = session.asked
            if asked is None:
                raise UserError(FORGOTTEN)
            options = asked.video.own_options(asked.briefly(options))
            run = session.begin(asked, number)
            yield from self.run(run, asked, options, conversation=session.clip)
        except Exception as error:
            yield {"state": "error", "error": sentence(error), "field": field}

    def answer(
        self, session_id: str, asked: Asked, options: Options, *, keep: Keep = "nothing"
    ) -> Finished:
        """One run from its start to its end, for programs; it ends early if they have gone. What it
        is to `keep` serves the session's next one.

        Raises UserError.
        """
        self._rate.check(session_id)
        session = self.sessions.get(session_id)
        with session.begin_call() as run:
            for event in self._events(run, asked, options, session.conversation(keep)):
                if isinstance(event, Result):
                    return self._add(run, asked.video, event, options)
        raise UserError("This run was stopped before its first word.")

    def stop(self, session_id: str, number: int | None = None) -> None:
        """End the session's runs; what they have written so far is kept (`Session.stop`)."""
        self.sessions.get(session_id).stop(number)

    def leave(self, session_id: str, *, grace_secs: float = 0.0) -> None:
        """Forget a session, once it has been silent for so long: a page that was cut off, or is
        loaded anew, still wants the answer it has asked for.
        """
        if grace_secs:
            timer = threading.Timer(grace_secs, self.sessions.forget, (session_id,))
            timer.daemon = True
            timer.start()
        else:
            self.sessions.forget(session_id)

    def forget_left(self) -> set[str]:
        """Remove what visitors had who have left; returns the keys of their results."""
        keys, videos = self.belongings.take_left()
        for key in keys:
            self.results.drop(key)
        for video in videos:
            self.videos.drop(video)
        return keys

    def close(self) -> bool:
        """Take no more runs, let those under way finish within the grace, then stop them.

        Returns whether all have ended.
        """
        self.readers.close()
        self.runner.close(self.limits.grace_secs)
        self.sessions.forget_all()
        return self.runner.close(STOPPING_SECS)

    def engine_facts(self) -> EngineFacts:
        """What is known of the engine, and how far it has compiled ahead."""
        return {**self.engine.facts(), **self._rehearsals.facts()}

    def warm_up(self) -> None:
        """Answer the first sample's question, to measure how fast this machine is; stopped
        by any other run, and a failure is only logged. Then compile ahead.
        """
        self._measure()
        self._rehearsals.run(self.engine.engine())

    def _measure(self) -> None:
        sample = next(iter(self.videos.samples.values()), None)
        if sample is None:
            return
        options = Options(self.engine.default_config, max_new_tokens=BRIEF_WORDS)
        try:
            for event in self.engine.ask(
                sample.path, sample.questions[0], options, stop=self.runner.warm_up.stop
            ):
                if isinstance(event, Result):
                    self.time_estimates.observe(event)
        except Exception as error:
            sentence(error)

    def run(
        self, run: Run, asked: Asked, options: Options, *, conversation: Conversation | None = None
    ) -> Iterator[RunMessage]:
        """The states of a run that has begun, the last one final; none once it is superseded. What
        a `conversation` holds of the clip is not read again.

        Raises UserError.
        """
        state: Running = {"state": "running", "answer": "", "phase": None}
        for event in self._events(run, asked, options, conversation):
            if run.superseded:
                return
            if isinstance(event, Result):
                asked.words = sum(w.kind == "answer" for w in event.trace.words)
                yield self._add(run, asked.video, event, options).message()
                return
            yield {**_advance(state, event)}
        if not run.superseded:
            yield {"state": "stopped"}

    def _events(
        self, run: Run, asked: Asked, options: Options, conversation: Conversation | None
    ) -> Iterator[Event | Waiting]:
        def begin() -> Iterator[Event]:
            return self.engine.ask(
                asked.video.path, asked.question, options, stop=run.stop, conversation=conversation
            )

        return self.runner.events(run, begin, conversation)

    def _add(self, run: Run, video: Video, result: Result, options: Options) -> Finished:
        self.runner.observer.answered(result.trace, result.seconds, result.stopped)
        self.time_estimates.observe(result)
        url = self.videos.url_from_path(video.path)
        finished = self.results.add(video, url, result, options)
        self._own(run.owner, finished)
        return finished

    def _own(self, visitor: str, finished: Finished) -> None:
        self.belongings.own(visitor, key=finished.key, video=finished.upload_path)


def _bounds(limits: ServerLimits) -> ReaderLimits:
    return ReaderLimits(
        memory_mb=limits.read_memory_mb,
        file_mb=max(limits.kept_videos_mb, 1),
        cpu_secs=limits.read_secs * (os.cpu_count() or 1),
        wait_secs=float(limits.read_secs),
    )


def _advance(state: Running, event: Phase | Word | Waiting) -> Running:
    """The state of a run after one more event, the whole of it: the page may miss one."""
    if isinstance(event, Word):
        state["answer"] += event.text
    elif isinstance(event, Waiting):
        state["phase"] = {"name": "waiting", "done": 0, "total": event.ahead, "secs": event.secs}
    else:
        state["phase"] = {"name": event.name, "done": event.done, "total": event.total}
    return state
