"""One request: a visitor's video, their question, the run, and what the page is told of it.

No gradio here. What goes to the page is plain JSON: a video card, the states of a run, a scene.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from adaspark.request import Options, Phase, Result, Word
from adaspark.trace_meta import required
from app.limits import ServerLimits
from app.loading import Loading
from app.rates import Rates
from app.recipe import Recipe
from app.results import Finished, Message, Results
from app.runs import Gate, Run, sentence
from app.samples import Sample
from app.settings import Settings, checked_question
from app.store import Footage
from app.videos import Videos, sample_video
from app.visitors import BRIEF_WORDS, Asked, Video, Visitors


class Service:
    """Answers the page. Safe to call from many threads.

    `folder` holds the copies of uploaded videos, `gallery` the recorded results by sample, and
    `url_from_path` says where the browser finds a file.
    """

    def __init__(
        self,
        engine: Loading,
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
        self.visitors = Visitors()
        self.rates = Rates()
        self.videos = Videos(
            engine,
            self.visitors,
            Footage(folder, limits.kept_videos_mb * 2**20),
            self.rates,
            samples=samples,
            gallery=gallery or {},
            url_from_path=url_from_path,
            limits=limits,
        )
        self._gate = Gate(limits.waiting_runs)
        self._warm_up = Run()
        self._recorded = {
            name: self._add_recorded(sample_video(self.videos.samples[name]), result)
            for name, result in (gallery or {}).items()
        }

    def choose_sample(self, session: str, name: str, settings: Settings) -> Message:
        """Take a bundled clip. With it comes its recorded run, to which dials and exports then
        apply; `unanswered` says that the settings are others than it was recorded with.

        Raises UserError for an unknown name.
        """
        return self._chosen(session, name, None, settings)

    def greet(self, session: str, recipe: Recipe) -> Message:
        """What a page opens with: the card of the recipe's clip, or of the first one, with the
        `question` to show; empty without samples. `unanswered` where the recipe is still to run.
        """
        name = recipe.sample or next(iter(self.videos.samples), None)
        if name is None:
            return {}
        card = self._chosen(session, name, recipe.question, recipe.settings)
        if recipe.is_given and "recorded" not in card:
            return {**card, "unanswered": True}
        return card

    def _chosen(self, session: str, name: str, wanted: str | None, settings: Settings) -> Message:
        card = self.videos.choose_sample(session, name, settings)
        recorded, visitor = self._recorded.get(name), self.visitors.get(session)
        question = wanted or (recorded.question if recorded else card["questions"][0])
        video = self.videos.chosen(visitor)
        visitor.asked = Asked(video, question)
        card |= {"question": question, "unanswered": False}
        if recorded is None:
            return card
        if self.engine.state == "replay":
            card["questions"] = [recorded.question]
        answered = recorded.answers(question, settings.options())
        return {**card, "recorded": recorded.message(), "unanswered": not answered}

    def ask(self, session: str, question: object, settings: Settings) -> Iterator[Message]:
        """Answer a question about the chosen video: the states of the run, the last one final.

        A newer run of the same visitor ends this one without a word. Never raises: what goes
        wrong is the last message.
        """
        visitor = self.visitors.get(session)
        try:
            options = settings.options()
            asked = Asked(self.videos.chosen(visitor), checked_question(question))
            yield from self.run(visitor.begin(asked), asked, options)
        except Exception as error:
            yield {"state": "error", "error": sentence(error)}

    def retune(self, session: str, settings: Settings) -> Iterator[Message]:
        """The last question again with other settings; nothing where none was asked.

        It writes no more words than the answer in view has, or a few where that is short.
        """
        visitor = self.visitors.get(session)
        try:
            asked = visitor.asked
            if asked is not None:
                options = asked.briefly(settings.options())
                yield from self.run(visitor.begin(asked), asked, options)
        except Exception as error:
            yield {"state": "error", "error": sentence(error)}

    def answer(self, asked: Asked, options: Options) -> Finished:
        """One run from its start to its end, for programs. Raises UserError."""
        with self._gate.enter():
            self._warm_up.cancel()
            events = self.engine.ask(asked.video.path, asked.question, options, stop=Run().stop)
            result = next(event for event in events if isinstance(event, Result))
            return self._add(asked.video, result, options)

    def stop(self, session: str) -> None:
        """End the visitor's run; what it has so far stays."""
        self.visitors.get(session).stop()

    def leave(self, session: str) -> None:
        """Forget a visitor."""
        self.visitors.forget(session)

    def close(self) -> None:
        """Stop every run."""
        self._warm_up.cancel()
        self.visitors.forget_all()

    def warm_up(self) -> None:
        """Answer the first sample's question, to know how fast this machine is; gives way to
        whatever a visitor asks, and a failure is only logged.
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
                    self.rates.observe(event)
        except Exception as error:
            sentence(error)

    def run(self, run: Run, asked: Asked, options: Options) -> Iterator[Message]:
        """The states of a run that has begun, the last one final; none after it is superseded.

        Raises UserError.
        """
        self._warm_up.cancel()
        state: Message = {"state": "running", "answer": "", "phase": None}
        with self._gate.enter() as ahead:
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
                yield dict(_advance(state, event))
        if not run.superseded:
            yield {"state": "stopped"}

    def _add(self, video: Video, result: Result, options: Options) -> Finished:
        self.rates.observe(result)
        url = self.videos.url_from_path(video.path)
        return self.results.add(video, url, result, options)

    def _add_recorded(self, video: Video, result: Result) -> Finished:
        options = Options(required(result.trace.meta.config, "settings"))
        url = self.videos.url_from_path(video.path)
        return self.results.add(video, url, result, options, recorded=True)


def _advance(state: Message, event: Phase | Word) -> Message:
    """The state of a run after one more event, the whole of it: the page may miss one."""
    if isinstance(event, Word):
        state["answer"] += event.text
    else:
        state["phase"] = {"name": event.name, "done": event.done, "total": event.total}
    return state
