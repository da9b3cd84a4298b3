"""Files to download of a finished run, made when they are first asked for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

from adaspark.errors import UserError
from adaspark.files import write_whole
from app.media.disk_store import ProxyStore
from app.media.uploads import playable
from app.service.results import Finished
from app.service.run_labels import labels
from viz.report.page import report
from viz.video import difference, overlay

KEPT_BYTES = 512 * 2**20


class Exports:
    """Files of finished runs in `folder`, which never holds more than KEPT_BYTES of them."""

    def __init__(self, folder: Path) -> None:
        self._files = ProxyStore(folder, KEPT_BYTES)
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

    def video(self, finished: Finished, *, layer: int, kind: str, mode: str) -> Path:
        """The run's video with one layer's selection burned in, as MP4.

        Raises UserError if the run has no such layer, kind of query or overlay, or no cubes.
        """
        _check_picture(finished)
        view, source = finished.view, finished.video.path
        layers, kinds = range(len(view.trace.computed_pairs)), view.kinds
        if layer not in layers or kind not in kinds or mode not in get_args(overlay.Mode):
            raise UserError(f"This run has no {mode} of {kind} in layer {layer} to draw.")

        def write(path: Path) -> None:
            with self._drawing:
                chosen: Any = {"kind": kind, "mode": mode}  # checked above
                overlay.write_mp4(view, source, path, layer=layer, **chosen)

        return self._made(f"{finished.key}-{layer}-{kind}-{mode}.mp4", write)

    def difference(
        self, one: Finished, other: Finished, *, layer: int, kind: str, compared: str
    ) -> Path:
        """The video of two runs with their difference in one layer burned in, as MP4.

        Raises UserError if they cannot be drawn so.
        """
        _check_picture(one)
        a, b = one.view, other.view
        if one.video.path != other.video.path or not difference.comparable(a, b):
            raise UserError("These two runs have no slices in common to draw their difference on.")
        chosen: Any = {"kind": kind, "compared": compared}
        layers, known = range(len(a.trace.computed_pairs)), get_args(difference.Compared)
        if layer not in layers or kind not in a.kinds or compared not in known:
            raise UserError(f"These runs have no {compared} of {kind} in layer {layer} to draw.")

        def write(path: Path) -> None:
            with self._drawing:
                difference.write_difference(
                    a, b, one.video.path, path, layer=layer, labels=labels(one, other), **chosen
                )

        return self._made(f"{one.key}-{other.key}-{layer}-{kind}-{compared}.mp4", write)

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


def download_name(finished: Finished, suffix: str) -> str:
    """A file name that says what it is of."""
    return f"{finished.stem}{suffix}"
