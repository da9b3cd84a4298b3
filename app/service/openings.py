"""What a page opens with: a sample, what it showed before, or a run from a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from adaspark.model.events import Result
from app.media.opened_traces import open_trace
from app.media.recorded_runs import result_of
from app.media.videos import Videos, sample_video
from app.service.belongings import Belongings
from app.service.deferred_engine import DeferredEngine
from app.service.messages import Card, Choice, FinishedRun, NoCard
from app.service.permalinks import Permalink
from app.service.results import Finished, Results
from app.service.sessions import Asked, Sessions, Video
from app.service.settings import Settings
from app.web.limits import ServerLimits


@dataclass(frozen=True)
class Last:
    """What a page remembers of itself: the key of its finished run, and its upload, by the address
    and the name that the page knew it by; empty what it had not.
    """

    key: str = ""
    url: str = ""
    name: str = ""


class Openings:
    """Takes clips and runs that are there already into view. `gallery` has the recorded results by
    sample.
    """

    def __init__(
        self,
        engine: DeferredEngine,
        videos: Videos,
        results: Results,
        sessions: Sessions,
        belongings: Belongings,
        limits: ServerLimits,
        gallery: Mapping[str, Result],
    ) -> None:
        self._engine, self._videos, self._results = engine, videos, results
        self._sessions, self._belongings, self._limits = sessions, belongings, limits
        self._recorded = {name: self._add_sample(name, result) for name, result in gallery.items()}

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
        name = permalink.sample or next(iter(self._videos.samples), None)
        if name is None:
            return NoCard()
        card = self._chosen(session_id, name, permalink.question, permalink.settings)
        if permalink.clip is not None:
            return {**card, "unanswered": False, "missing": permalink.clip}
        if permalink.is_given and "recorded" not in card:
            return {**card, "unanswered": True}
        return card

    def resume(self, session_id: str, last: Last, settings: Settings) -> Card:
        """Take up what a page showed before: its video, and its finished run if it had one.

        Raises UserError if the server no longer has it.
        """
        finished = self._results.get(last.key)
        video = finished.video if finished else self._videos.reopen(last.url, last.name)
        card = self._videos.take(session_id, video, settings)
        session = self._sessions.get(session_id)
        if video.upload:
            session.own = video
            self._belongings.own(session.visitor, video=video.path)
        if finished is None:
            return card
        self._own(session.visitor, finished)
        session.asked = Asked(video, finished.question)
        card["question"], card["unanswered"] = finished.question, False
        return {**card, "recorded": finished.message()}

    def open_trace(self, session_id: str, path: Path, name: str) -> FinishedRun:
        """A recorded run from outside, checked; no video is chosen beside it. Raises UserError."""
        result = result_of(open_trace(path, name))
        finished = self._results.add_recorded(Video(path, name), "", result)
        session = self._sessions.get(session_id)
        session.settle(session.choose(), None)
        session.asked = None
        self._own(session.visitor, finished)
        return finished.message()

    @property
    def opening_share(self) -> float | None:
        """Share of dense FLOPs that the first recorded run was counted to cost; None without one
        of the engine's own settings.
        """
        first = next(iter(self._recorded.values()), None)
        meta = first.result.trace.meta if first else None
        if meta is None or meta.flops is None or meta.config != self._engine.default_config:
            return None
        return 1 - meta.flops.reduction

    def _chosen(self, session_id: str, name: str, asked: str | None, settings: Settings) -> Card:
        card = self._videos.choose_sample(session_id, name, settings)
        recorded, session = self._recorded.get(name), self._sessions.get(session_id)
        question = asked or (recorded.question if recorded else card["questions"][0])
        video = self._videos.chosen(session)
        session.asked = Asked(video, question)
        card["question"], card["unanswered"] = question, False
        if recorded is None:
            return card
        if self._engine.state == "replay":
            card["questions"] = [recorded.question]
        answered = recorded.answers(question, settings.options(self._limits))
        return {**card, "recorded": recorded.message(), "unanswered": not answered}

    def _add_sample(self, name: str, result: Result) -> Finished:
        video = sample_video(self._videos.samples[name])
        url = self._videos.url_from_path(video.path)
        return self._results.add_recorded(video, url, result, permanent=True)

    def _own(self, visitor: str, finished: Finished) -> None:
        self._belongings.own(visitor, key=finished.key, video=finished.upload_path)
