"""Choosing a video: a sample clip or an upload, checked, made playable, and described."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

from adaspark.errors import UserError
from adaspark.model.request import Estimate, Result
from adaspark.video.file import DEFAULT_LIMITS
from app.media import uploads
from app.media.copies import GONE, Copies
from app.media.disk_store import ProxyStore
from app.media.recorded_runs import recorded_estimate
from app.media.samples import Sample
from app.service.deferred_engine import DeferredEngine
from app.service.messages import Card, Facts, PreviewPlace, SampleCard, TooLong
from app.service.progress import STEPS, Report
from app.service.sessions import Preview, Session, Sessions, Video
from app.service.settings import Settings
from app.service.time_estimates import TimeEstimates
from app.web.limits import ServerLimits

NO_VIDEO = "No video is chosen; pick a sample clip or upload a video first."


class Videos:
    """Chooses and describes videos. `url_from_path` gives a file's address in the browser."""

    def __init__(
        self,
        engine: DeferredEngine,
        sessions: Sessions,
        proxies: ProxyStore,
        time_estimates: TimeEstimates,
        *,
        samples: Sequence[Sample],
        gallery: Mapping[str, Result],
        url_from_path: Callable[[Path], str],
        limits: ServerLimits,
    ) -> None:
        self.samples = {sample.name: sample for sample in samples}
        self.url_from_path = url_from_path
        self._engine = engine
        self._sessions = sessions
        self._proxies = proxies
        self._time_estimates = time_estimates
        self._limits = replace(
            DEFAULT_LIMITS,
            max_bytes=limits.upload_mb * 10**6,
            max_duration_secs=float(limits.video_secs),
        )
        self.copies = Copies(proxies, url_from_path, self._limits)
        self._recorded = {
            name: recorded_estimate(self.samples[name], result) for name, result in gallery.items()
        }

    def sample_cards(self) -> list[SampleCard]:
        """The cards of the sample clips."""
        return [
            {
                "name": sample.name,
                "title": sample.title,
                "url": self.url_from_path(sample.path),
                "poster_secs": sample.poster_secs,
            }
            for sample in self.samples.values()
        ]

    def choose_sample(self, session_id: str, name: str, settings: Settings) -> Card:
        """Take one of the bundled clips. Raises UserError for an unknown name."""
        sample = self.samples.get(name)
        if sample is None:
            raise UserError(f"There is no sample clip named {name!r}; pick one of the cards.")
        return self._take(session_id, sample_video(sample), settings)

    def choose_upload(
        self,
        session_id: str,
        path: Path,
        name: str,
        settings: Settings,
        *,
        report: Report = lambda done, total: None,
    ) -> Card:
        """Check an uploaded file and make it playable. Raises UserError if it is refused.

        `report(done, total)` counts frames. A later choice ends the work.
        """
        session = self._sessions.get(session_id)
        choice = session.choose()

        def on_progress(done: int, total: int) -> None:
            if choice != session.choices:
                raise UserError("Another video was chosen in the meantime.")
            report(done, total)

        def on_preview(preview: Preview) -> None:
            session.preview = preview
            report(1, STEPS)  # the checks are done: lets the page play it at once

        try:
            own = self.prepare(path, name, on_progress, on_preview)
            card = self._card(own, settings)
        except UserError as error:
            session.settle(choice, None, str(error))
            raise
        finally:
            session.preview = None
        session.own = own
        session.settle(choice, own)
        return card

    def preview(self, session_id: str) -> PreviewPlace | None:
        """Where the upload that is being prepared can be played so far; None before it can."""
        preview = self._sessions.get(session_id).preview
        if preview is None:
            return None
        url = f"studio/growing/{quote(preview.path.name)}"
        return {"url": url, "duration_secs": preview.duration_secs}

    def prepare(
        self,
        path: Path,
        name: str,
        on_progress: Report | None = None,
        on_preview: Callable[[Preview], None] = lambda preview: None,
    ) -> Video:
        """Check an uploaded file and make its copy for player and sampler. Raises UserError.

        `on_preview` is called with a file that plays while the copy is made.
        """
        self._engine.check_model()  # first: without a model, nothing can be asked about it
        info = uploads.check_upload(path, self._limits)
        proxy = uploads.make_proxy(
            info,
            self._proxies.folder,
            limits=self._limits,
            on_progress=on_progress,
            on_growing=lambda path: on_preview(Preview(path, info.duration_secs)),
        )
        self._proxies.keep(proxy)
        return Video(proxy, name, upload=info)

    def choose_own(self, session_id: str, settings: Settings) -> Card:
        """Take the session's last upload again. Raises UserError if there is none."""
        own = self._sessions.get(session_id).own
        if own is None:
            raise UserError(GONE)
        return self._take(session_id, own, settings)

    def refuse(self, session_id: str, why: str) -> None:
        """Choose no video, so that no question goes to the one chosen before a refused upload."""
        session = self._sessions.get(session_id)
        session.settle(session.choose(), None, why)

    def describe(self, session_id: str, settings: Settings) -> Card | None:
        """The chosen video's card under other sampling settings; None without a video."""
        video = self._sessions.get(session_id).video
        return self._card(video, settings) if video else None

    def chosen(self, session: Session) -> Video:
        """The session's video. Raises UserError if none is chosen, or it was dropped."""
        if session.video is None:
            raise UserError(session.refusal or NO_VIDEO)
        self.check_present(session.video)
        return session.video

    def check_present(self, video: Video) -> None:
        """Raise UserError if an uploaded video was dropped."""
        if video.upload and not self._proxies.touch(video.path):
            raise UserError(GONE)

    def _take(self, session_id: str, video: Video, settings: Settings) -> Card:
        session = self._sessions.get(session_id)
        choice = session.choose()
        try:
            card = self._card(video, settings)
        except UserError as error:
            session.settle(choice, None, str(error))
            raise
        session.settle(choice, video)
        return card

    def facts(self, video: Video, settings: Settings) -> Facts:
        """What a run would cost, before it: tokens, seconds on this machine (None if nothing
        was measured yet), and how many frames would fit if it does not.
        """
        estimate = self._estimate(video, settings)
        secs = self._time_estimates.secs(estimate.video_tokens)
        return {
            "facts": uploads.describe(video.upload or estimate.info, estimate, secs),
            "duration_secs": estimate.info.duration_secs,
            "video_tokens": estimate.video_tokens,
            "seconds": secs,
            "too_long": self._too_long(estimate),
        }

    def _card(self, video: Video, settings: Settings) -> Card:
        questions = video.sample.questions if video.sample else self._engine.questions
        facts = self.facts(video, settings)
        return {
            "name": video.name,
            "sample": video.sample.name if video.sample else None,
            "note": video.sample.note if video.sample else "",
            "url": self.url_from_path(video.path),
            "questions": list(questions),
            "facts": facts["facts"],
            "duration_secs": facts["duration_secs"],
            "video_tokens": facts["video_tokens"],
            "seconds": facts["seconds"],
            "too_long": facts["too_long"],
        }

    def _estimate(self, video: Video, settings: Settings) -> Estimate:
        sampling = settings.sampling()
        recorded = self._recorded.get(video.sample.name) if video.sample else None
        state, is_own = self._engine.state, set(sampling.values()) == {None}
        if recorded and (state == "replay" or (is_own and state != "ready")):
            return recorded
        return self._engine.estimate(video.path, **sampling)

    def _too_long(self, estimate: Estimate) -> TooLong | None:
        """That a video does not fit into the model, and how many frames would; None if it fits."""
        if self._engine.state != "ready":
            return None
        engine = self._engine.engine()
        if estimate.video_tokens < engine.max_video_tokens:
            return None
        frames = engine.fitting_frames(estimate)
        text = (
            f"Too long to ask about: {estimate.video_tokens:,} visual tokens, the model holds "
            f"{engine.max_video_tokens:,}."
        )
        return {"text": text, "max_frames": frames}


def sample_video(sample: Sample) -> Video:
    """A sample clip as a video."""
    return Video(sample.path, sample.title, sample)
