"""Files to download of a finished run, made when they are first asked for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any, get_args

from adaspark.errors import UserError
from adaspark.files import write_whole
from app.media.disk_store import ProxyStore
from app.media.reader.pool import Readers
from app.media.uploads import playable
from app.service.results import Finished
from app.service.run_labels import labels
from app.web.films import FilmOrder, difference_legend
from viz.report.page import report
from viz.video import difference

KEPT_BYTES = 512 * 2**20
BUSY = "Other visitors' films are being drawn; try again in a minute."
_PATIENCE_SECS = 30.0


class Exports:
    """Files of finished runs in `folder`, which never holds more than KEPT_BYTES of them.

    Videos are drawn in readers, for they are decoded for that.
    """

    def __init__(self, folder: Path, readers: Readers) -> None:
        self._files = ProxyStore(folder, KEPT_BYTES)
        self._readers = readers
        self._drawing = threading.Lock()  # one at a time: drawing a video keeps a core busy

    def trace(self, finished: Finished) -> Path:
        """The run's trace as NPZ."""
        return self._made(f"{finished.key}.npz", finished.result.trace.save)

    def report(self, finished: Finished) -> Path:
        """The run as one offline HTML page. Raises UserError if its tokens were pruned."""
        _check_picture(finished)

        def write(path: Path) -> None:
            page = report(finished.view, video_path=playable(finished.video.path))
            path.write_text(page, "utf-8")

        return self._made(f"{finished.key}.html", write)

    def film(self, finished: Finished, order: FilmOrder) -> Path:
        """The run's video with a selection burned in and a caption, as MP4 or GIF.

        Raises UserError if the run has no such layer, kind of query or overlay, or no cubes.
        """
        _check_picture(finished)
        order.check(finished.view)

        def write(path: Path) -> None:
            self._draw(path, [finished], order=asdict(order))

        return self._made(f"{finished.key}-{order.name}.{order.format}", write)

    def difference(
        self,
        one: Finished,
        other: Finished,
        *,
        layer: int,
        kind: str,
        compared: str,
        own_legend: str = "",
    ) -> Path:
        """The video of two runs with their difference in one layer burned in, as MP4.

        `own_legend` has the lines under it in the page's language, used where there are letters
        for them. Raises UserError if the runs cannot be drawn so.
        """
        _check_picture(one)
        a, b = one.view, other.view
        if one.video.path != other.video.path or not difference.comparable(a, b):
            raise UserError("These two runs have no slices in common to draw their difference on.")
        chosen = {"kind": kind, "compared": compared, "labels": labels(one, other)}
        layers, known = range(len(a.trace.computed_pairs)), get_args(difference.Compared)
        if layer not in layers or kind not in a.kinds or compared not in known:
            raise UserError(f"These runs have no {compared} of {kind} in layer {layer} to draw.")

        chosen["own_legend"] = own = difference_legend(own_legend)

        def write(path: Path) -> None:
            self._draw(path, [one, other], layer=layer, **chosen)

        words = f"-{sha256(repr(own).encode()).hexdigest()[:16]}" if own else ""
        return self._made(f"{one.key}-{other.key}-{layer}-{kind}-{compared}{words}.mp4", write)

    def remove(self, key: str) -> None:
        """Remove all that was made of a run."""
        for path in self._files.folder.glob(f"*{key}*"):
            self._files.drop(path)

    def _draw(self, out: Path, runs: Sequence[Finished], **chosen: Any) -> None:
        traces = [str(self.trace(run)) for run in runs]
        if not self._drawing.acquire(timeout=_PATIENCE_SECS):
            raise UserError(BUSY)
        try:
            with self._readers.reader() as reader:
                reader.begin("draw", runs[0].video.path, out=str(out), traces=traces, chosen=chosen)
                reader.receive(is_patient=True)
        finally:
            self._drawing.release()

    def _made(self, name: str, write: Callable[[Path], object]) -> Path:
        path = self._files.folder / name
        if not self._files.touch(path):
            write_whole(path, write)  # two visitors may ask for the same file
            self._files.keep(path)
        return path


def _check_picture(finished: Finished) -> None:
    if finished.result.trace.meta.pruned is not None:
        raise UserError(
            "A run on pruned tokens has no cubes to draw: they are a row. Its trace has them all."
        )
    if not finished.url:
        raise UserError("This run was opened from a file, without its video to draw on.")


def download_name(finished: Finished, suffix: str) -> str:
    """A file name that says what it is of."""
    return f"{finished.stem}{suffix}"
