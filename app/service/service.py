"""One request: the chosen video, the question, the run, and the messages that describe it.

No gradio here: messages are plain JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from adaspark.model.request import Options, Phase, Result, Word
from adaspark.trace.meta import required
from app.media.disk_store import ProxyStore
from app.media.samples import Sample
from app.media.videos import Videos, sample_video
from app.service.deferred_engine import DeferredEngine
from app.service.messages import Card, Choice, NoCard, RunMessage, Running
from app.service.permalinks import Permalink
from app.service.queue import AdmissionQueue, Run, sentence
from app.service.results import Finished, Results
from app.service.sessions import BRIEF_WORDS, Asked, Sessions, Video
from app.service.settings import Settings, checked_question
from app.service.time_estimates import TimeEstimates
from app.web.limits import ServerLimits


class Service:
    """Answers the page. Safe to call from many threads.

    `folder` holds the copies of uploaded videos, `gallery` the recorded results by sample, and
    `url_from_path` says where the browser finds a file.
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
    ) -> None:
        limits = limits or ServerLimits()
        self.engine = engine
        self.results = Results(limits.kept_results_mb * 2**20)
        self.sessions = Sessions()
        self.time_estimates = TimeEstimates()
        self.videos = Videos(
            engine,
            self.sessions,
            ProxyStore(folder, limits.kept_videos_mb * 2**20),
            self.time_estimates,
            samples=samples,
            gallery=gallery or {},
            url_from_path=url_from_path,
            limits=limits,
        )
        self._admission = AdmissionQueue(limits.waiting_runs)
        self._warm_up = Run()
        self._recorded = {
            name: self._add_recorded(sample_video(self.videos.samples[name]), result)
            for name, result in (gallery or {}).items()
        }

    def choose_sample(self, session_id: str, name: str, settings: Settings) -> Card:
        """Take a bundled clip. With it comes its recorded run, to which dials and exports then
        apply; `unanswered` says that the settings differ from its own.

        Raises UserError for an unknown name.
        """
        return self._chosen(session_id, name, None, settings)

    def greet(self, session_id: str, permalink: Permalink) -> Choice:
        """What a page opens with: the card of the permalink's clip, or of the first one, with the
        `question` to show; no card without samples. `unanswered` if the permalink is still to run.
        """
        name = permalink.sample or next(iter(self.videos.samples), None)
        if name is None:
            return NoCard()
        card = self._chosen(session_id, name, permalink.question, permalink.settings)
        if permalink.is_given and "recorded" not in card:
            return {**card, "unanswered": True}
        return card

    def _chosen(self, session_id: str, name: str, asked: str | None, settings: Settings) -> Card:
        card = self.videos.choose_sample(session_id, name, settings)
        recorded, session = self._recorded.get(name), self.sessions.get(session_id)
        question = asked or (recorded.question if recorded else card["questions"][0])
        video = self.videos.chosen(session)
        session.asked = Asked(video, question)
        card["question"], card["unanswered"] = question, False
        if recorded is None:
            return card
        if self.engine.state == "replay":
            card["questions"] = [recorded.question]
        answered = recorded.answers(question, settings.options())
        return {**card, "recorded": recorded.message(), "unanswered": not answered}

    def ask(self, session_id: str, question: object, settings: Settings) -> Iterator[RunMessage]:
        """Answer a question about the chosen video: the states of the run, the last one final.

        A newer run of the same session ends this one without another message. Never raises: an
        error is the last message.
        """
        session = self.sessions.get(session_id)
        try:
            options = settings.options()
            asked = Asked(self.videos.chosen(session), checked_question(question))
            yield from self.run(session.begin(asked), asked, options)
        except Exception as error:
            yield {"state": "error", "error": sentence(error)}

    def retune(self, session_id: str, settings: Settings) -> Iterator[RunMessage]:
        """Answer the last question again with other settings; no messages if none was asked.

        The answer is at most as long as the one in view, or a few words if that is shorter.
        """
        session = self.sessions.get(session_id)
        try:
            asked = session.asked
            if asked is not None:
                options = asked.briefly(settings.options())
                yield from self.run(session.begin(asked), asked, options)
        except Exception as error:
            yield {"state": "error", "error": sentence(error)}

    def answer(self, asked: Asked, options: Options) -> Finished:
        """One run from its start to its end, for programs. Raises UserError."""
        with self._admission.enter():
            self._warm_up.cancel()
            events = self.engine.ask(asked.video.path, asked.question, options, stop=Run().stop)
            result = next(event for event in events if isinstance(event, Result))
            return self._add(asked.video, result, options)

    def stop(self, session_id: str) -> None:
        """End the session's runs; what they have written so far is kept."""
        self.sessions.get(session_id).stop()

    def leave(self, session_id: str) -> None:
        """Forget a session."""
        self.sessions.forget(session_id)

    def close(self) -> None:
        """Stop every run."""
        self._warm_up.cancel()
        self.sessions.forget_all()

    def warm_up(self) -> None:
        """Answer the first sample's question, to measure how fast this machine is; stopped
        by any other run, and a failure is only logged.
        """
        sample = next(iter(self.videos.samples.values()), None)
        if sample is None:
            return
        options = Options(self.engine.default_config, max_new_tokens=BRIEF_WORDS)
        try:
            for event in self.engine.ask(
                sample.path, sample.questions[0], options, stop=self._warm_up.stop
            ):
                if isinstance(event, Result):
                    self.time_estimates.observe(event)
        except Exception as error:
            sentence(error)

    def run(self, run: Run, asked: Asked, options: Options) -> Iterator[RunMessage]:
        """The states of a run that has begun, the last one final; none once it is superseded.

        Raises UserError.
        """
        self._warm_up.cancel()
        state: Running = {"state": "running", "answer": "", "phase": None}
        with self._admission.enter() as ahead:
            if ahead:
                yield {**state, "phase": {"name": "waiting", "done": 0, "total": ahead}}
            events = self.engine.ask(asked.video.path, asked.question, options, stop=run.stop)
            for event in events:
                if run.superseded:
                    return
                if isinstance(event, Result):
                    asked.words = sum(w.kind == "answer" for w in event.trace.words)
                    yield self._add(asked.video, event, options).message()
                    return
                yield {**_advance(state, event)}
        if not run.superseded:
            yield {"state": "stopped"}

    def _add(self, video: Video, result: Result, options: Options) -> Finished:
        self.time_estimates.observe(result)
        url = self.videos.url_from_path(video.path)
        return self.results.add(video, url, result, options)

    def _add_recorded(self, video: Video, result: Result) -> Finished:
        options = Options(required(result.trace.meta.config, "settings"))
        url = self.videos.url_from_path(video.path)
        return self.results.add(video, url, result, options, recorded=True)


def _advance(state: Running, event: Phase | Word) -> Running:
    """The state of a run after one more event, the whole of it: the page may miss one."""
    if isinstance(event, Word):
        state["answer"] += event.text
    else:
        state["phase"] = {"name": event.name, "done": event.done, "total": event.total}
    return state
