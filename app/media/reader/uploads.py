"""Uploads, checked, copied and decoded in readers; what they say of a file is checked here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from cachetools import LRUCache

from adaspark.video.images import Source
from adaspark.video.limits import DEFAULT_LIMITS, Limits
from adaspark.video.probe import VideoInfo, scan
from adaspark.video.rgb import SampledPicture
from app.media.reader.channel import Message
from app.media.reader.pool import Reader, Readers

if TYPE_CHECKING:
    from adaspark.video.clip import OpenedVideo

_MOST_REMEMBERED = 512
_FORMS: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("container", "codec", "decoder"), str),
    **dict.fromkeys(("width", "height", "rotation", "frames"), int),
    **dict.fromkeys(("duration_secs", "fps", "start_secs"), float),
    "warnings": lambda sentences: tuple(str(sentence) for sentence in sentences),
}
OnProgress = Callable[[int, int], None]
OnGrowing = Callable[[Path, VideoInfo], None]


class UploadReader:
    """Reads uploads of these limits, and the copies made of them in `folder`, in readers.

    Every method raises UserError, one sentence, for what cannot be used.
    """

    def __init__(self, readers: Readers, folder: Path, limits: Limits) -> None:
        self._readers = readers
        self._limits = asdict(limits)
        self._folder = folder
        self._known: LRUCache[tuple[Any, ...], VideoInfo] = LRUCache(_MOST_REMEMBERED)

    def prepare(
        self,
        path: Path,
        *,
        on_progress: OnProgress | None = None,
        on_growing: OnGrowing | None = None,
    ) -> tuple[VideoInfo, Path]:
        """Check an upload and make its copy: what it is, and the copy in the folder.

        As `app.media.uploads.make_proxy`; what `on_progress` raises ends the work.
        """
        with self._writer() as reader:
            reader.begin("prepare", path, limits=self._limits, folder=str(self._folder))
            done = self._finished(reader, path, on_progress, on_growing)
            with reader.checking():
                info, proxy = _info(path, done["info"]), self._made(done)
                self._known[_state(proxy)] = _info(proxy, done["copy"])
            return info, proxy

    def safe_copy(self, proxy: Path) -> Path:
        """As `app.media.uploads.make_safe_copy`."""
        with self._writer() as reader:
            reader.begin("encode", proxy, limits=self._limits)
            done = self._finished(reader, proxy)
            with reader.checking():
                return self._made(done)

    def open_video(
        self, source: Source, limits: Limits = DEFAULT_LIMITS, *, fps: float | None = None
    ) -> OpenedVideo:
        """Open a copy in a reader, and any other video, such as a sample clip, in this process."""
        if not isinstance(source, Path) or source.parent != self._folder:
            return scan(source, limits, fps=fps)
        return _Copy(self._readers, self._describe(source), limits)

    def _describe(self, path: Path) -> VideoInfo:
        state = _state(path)
        known = self._known.get(state)
        if known is None:
            with self._readers.reader() as reader:
                reader.begin("describe", path, limits=asdict(DEFAULT_LIMITS))
                message = reader.receive()
                with reader.checking():
                    known = self._known[state] = _info(path, message["done"])
        return known

    @contextmanager
    def _writer(self) -> Iterator[Reader]:
        """A reader whose unfinished files are removed after it."""
        with self._readers.reader() as reader:
            try:
                yield reader
            finally:
                reader.kill()
                for left in self._folder.glob(f"*.{reader.pid}-*"):
                    left.unlink(missing_ok=True)

    def _finished(
        self,
        reader: Reader,
        path: Path,
        on_progress: OnProgress | None = None,
        on_growing: OnGrowing | None = None,
    ) -> Message:
        """The last message of a job that writes a file; the others are passed on."""
        while "done" not in (message := reader.receive()):
            if "growing" in message and on_growing is not None:
                with reader.checking():
                    growing = self._folder / Path(str(message["growing"])).name
                    info = _info(path, message["info"])
                on_growing(growing, info)
            elif "frames" in message:
                with reader.checking():
                    done, total = (int(number) for number in message["frames"])
                if on_progress is not None:
                    on_progress(done, total)
                reader.go_on()
        return message

    def _made(self, done: Message) -> Path:
        """The file that a job has made."""
        path = self._folder / Path(str(done["done"])).name
        if path.suffix != ".mp4" or path.is_symlink() or not path.is_file():
            raise ValueError("a reader names no copy")
        return path


class _Copy:
    """An opened copy whose pictures a reader decodes."""

    def __init__(self, readers: Readers, info: VideoInfo, limits: Limits) -> None:
        self.info = info
        self._readers, self._limits = readers, limits

    def pictures(self, times_secs: Sequence[float]) -> Iterator[SampledPicture]:
        """As `Scan.pictures`, bit by bit."""
        with self._readers.reader() as reader:
            limits, times = asdict(self._limits), list(times_secs)
            reader.begin("pictures", self.info.path, limits=limits, times_secs=times)
            while "done" not in (message := reader.receive()):
                with reader.checking():
                    rgb = np.empty(self._shape(message["size"]), np.uint8)
                    secs, is_whole = float(message["secs"]), bool(message["whole"])
                reader.fill(rgb.data.cast("B"))
                yield SampledPicture(rgb, secs, is_whole)

    def _shape(self, size: Any) -> tuple[int, int, int]:
        height, width = (int(side) for side in size)
        if not 0 < height * width <= self._limits.max_pixels or height < 0:
            raise ValueError(f"a reader's picture of {width} x {height} pixels")
        return height, width, 3


def _info(path: Path, facts: Any) -> VideoInfo:
    """What a reader found in the file at `path`. Raises ValueError if it is not of this form."""
    if not isinstance(facts, dict) or set(facts) != set(_FORMS):
        raise ValueError("a reader's facts are not the agreed ones")
    checked = {name: form(facts[name]) for name, form in _FORMS.items()}
    return VideoInfo(path=path, **checked)


def _state(path: Path) -> tuple[Any, ...]:
    """What changes with a file's content."""
    status = path.stat()
    return path, status.st_ino, status.st_size, status.st_mtime_ns
