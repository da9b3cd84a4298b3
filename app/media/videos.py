"""Choosing a video: a sample clip or an upload, checked, made playable, and described."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

from cachetools import LRUCache

from adaspark.errors import UserError
from adaspark.model.events import Result
from adaspark.model.request import Estimate
from adaspark.model.trained import trained_note
from adaspark.video.limits import DEFAULT_LIMITS
from app.media import uploads
from app.media.copies import GONE, Copies
from app.media.disk_store import ProxyStore
from app.media.reader.pool import Readers
from app.media.reader.uploads import UploadReader
from app.media.recorded_runs import recorded_estimate
from app.media.samples import Sample
from app.service.deferred_engine import DeferredEngine
from app.service.messages import Card, Facts, PreviewPlace, SampleCard, TooLong
from app.service.progress import STEPS, Report
from app.service.real_models import needs
from app.service.sessions import Preview, Session, Sessions, Video
from app.service.settings import Settings
from app.service.time_estimates import TimeEstimates
from app.web.limits import ServerLimits

MAX_REMEMBERED = 512
NO_VIDEO = "No video is chosen; pick a sample clip or upload a video first."


class Videos:
    """Chooses and describes videos. `url_from_path` gives a file's address in the browser.

    A file in the folder `received` is removed once its proxy is made, or it is refused; sent again
    by the same path, it is that proxy. `own` is told of the visitor who has sent a proxy's file.
    """

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
        readers: Readers,
        received: Path | None = None,
        own: Callable[[str, Path], None] = lambda visitor, path: None,
    ) -> None:
        self.samples = {sample.name: sample for sample in samples}
        self.url_from_path = url_from_path
        self._engine = engine
        self._sessions = sessions
        self._proxies = proxies
        self._time_estimates = time_estimates
        checked = replace(
            DEFAULT_LIMITS,
            max_bytes=limits.upload_mb * 10**6,
            max_duration_secs=float(limits.video_secs),
            max_pixels=limits.video_pixels,
            max_frames=limits.video_frames,
        )
        self._server_limits = limits
        self._received = received
        self._own = own
        self._prepared: LRUCache[Path, Video] = LRUCache(MAX_REMEMBERED)
        self._reader = UploadReader(readers, proxies.folder, checked)
        self.copies = Copies(proxies, url_from_path, self._reader)
        engine.open_with(self._reader.open_video)
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
        return self.take(session_id, sample_video(sample), settings)

    def choose_upload(
        self,
        session_id: str,
        path: Path,
        name: str,
        settings: Settings,
        *,
        report: Report = lambda done, total: None,
    ) -> Card:
        """Check an uploaded file and make it playable. Raises UserError if it is refused: the video
        that was chosen before stays.

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
        finally:
            session.preview = None
        self._own(session.visitor, own.path)
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
        known = self._prepared.get(path)
        if known is not None and not path.exists() and self._proxies.touch(known.path):
            return replace(known, name=name)
        is_ours = self._received is not None and path.is_relative_to(self._received)
        try:
            info, proxy = self._reader.prepare(
                path,
                on_progress=on_progress,
                on_growing=lambda path, info: on_preview(Preview(path, info.duration_secs)),
            )
            self._proxies.keep(proxy)
            video = Video(proxy, name, upload=info)
            if is_ours:
                self._prepared[path] = video
            return video
        finally:
            if is_ours:
                path.unlink(missing_ok=True)

    def is_known(self, path: Path) -> bool:
        """Whether a file is there, or its proxy was made."""
        return path.is_file() or path in self._prepared

    def drop(self, path: Path) -> None:
        """Remove the copies of an uploaded video."""
        for copy in {path, uploads.playable(path)}:
            self._proxies.drop(copy)

    def choose_own(self, session_id: str, settings: Settings) -> Card:
        """Take the session's last upload again. Raises UserError if there is none."""
        own = self._sessions.get(session_id).own
        if own is None:
            raise UserError(GONE)
        return self.take(session_id, own, settings)

    def describe(self, session_id: str, settings: Settings) -> Card | None:
        """The chosen video's card under other sampling settings; None without a video."""
        video = self._sessions.get(session_id).video
        return self._card(video, settings) if video else None

    def chosen(self, session: Session) -> Video:
        """The session's video. Raises UserError if none is chosen, or it was dropped."""
        if session.video is None:
            raise UserError(NO_VIDEO)
        self.check_present(session.video)
        return session.video

    def check_present(self, video: Video) -> None:
        """Raise UserError if an uploaded video was dropped."""
        if video.upload and not self._proxies.touch(video.path):
            raise UserError(GONE)

    def reopen(self, url: str, name: str) -> Video:
        """An uploaded video by the address at which its page found it. Raises UserError."""
        proxy = self.copies.proxy(url)
        return Video(proxy, name, upload=uploads.check_upload(proxy))

    def take(self, session_id: str, video: Video, settings: Settings) -> Card:
        """Choose a video; its card. Raises UserError for sampling that cannot be."""
        session = self._sessions.get(session_id)
        choice = session.choose()
        card = self._card(video, settings)
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
            "warnings": trained_note(is_bundled=self._engine.is_bundled, frames=estimate.frames),
        }

    def _card(self, video: Video, settings: Settings) -> Card:
        questions = video.sample.questions if video.sample else self._engine.questions
        facts, estimate = self.facts(video, settings), self._estimate(video, settings)
        return {
            "name": video.name,
            "sample": video.sample.name if video.sample else None,
            "note": video.sample.note if video.sample else "",
            "url": self.url_from_path(video.path),
            "questions": list(questions),
            "needs": needs(estimate.info, self._time_estimates.secs_per_flop),
            "facts": facts["facts"],
            "duration_secs": facts["duration_secs"],
            "video_tokens": facts["video_tokens"],
            "seconds": facts["seconds"],
            "too_long": facts["too_long"],
            "warnings": facts["warnings"],
        }

    def _estimate(self, video: Video, settings: Settings) -> Estimate:
        sampling = settings.sampling(self._server_limits)
        recorded = self._recorded.get(video.sample.name) if video.sample else None
        state, is_own = self._engine.state, set(sampling.values()) == {None}
        if recorded and (state == "replay" or (is_own and state != "ready")):
            return recorded
        return self._engine.estimate(video.path, **video.own_sampling(sampling))

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
