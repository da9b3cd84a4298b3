"""Three typed endpoints for programs, with the page's limits and without a session."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import gradio as gr
from gradio import FileData

from adaspark.errors import UserError
from adaspark.method.config import one_number
from app.service.queue import sentence
from app.service.results import Finished
from app.service.service import Service
from app.service.sessions import Asked, Video
from app.service.settings import Settings, checked_question
from app.web.exports import Exports

Returned = TypeVar("Returned")
GONE = "No result has this key, or it is no longer on the server; ask again."


def add_endpoints(service: Service, exports: Exports, uploads_folder: Path) -> None:
    """Add `/ask`, `/inspect` and `/trace` to the gr.Blocks under construction.

    `uploads_folder` is where Gradio puts what a client sends.
    """
    default = service.engine.default_config
    folder = uploads_folder.resolve()

    def ask(
        video: FileData,
        question: str,
        attn_top_p: float = one_number(default.attn_top_p),
        ffn_top_p: float = one_number(default.ffn_top_p),
        cube: list[int] = list(default.cube),  # noqa: B006
        fps: float = 0,
        max_frames: int = 0,
        max_new_tokens: int = 32,
        max_pixels: int = 0,
        max_video_tokens: int = 0,
    ) -> tuple[str, dict[str, Any], FileData]:
        """Ask a question about a video.

        `cube` is (time, height, width) in merged tokens; `max_pixels` is of one frame as it is
        shown. `fps`, `max_frames`, `max_pixels`, `max_video_tokens` of 0 are the model's own.
        Returns the answer; a summary: densities, FLOPs, seconds, layers, and `key`, by which
        `/trace` finds the run; and the trace, an NPZ file.
        """

        def work() -> tuple[str, dict[str, Any], FileData]:
            t, h, w = _sides(cube)
            shown = (fps, max_frames, max_new_tokens, max_pixels, max_video_tokens)
            options = Settings(attn_top_p, ffn_top_p, t, h, w, *shown).options()
            asked = Asked(_video(service, video, folder), checked_question(question))
            finished = service.answer(asked, options)
            summary = {**finished.result.summary(), "key": finished.key}
            return finished.result.answer, summary, _file(exports, finished)

        return _returned(work)

    def inspect(
        video: FileData,
        fps: float = 0,
        max_frames: int = 0,
        max_pixels: int = 0,
        max_video_tokens: int = 0,
    ) -> dict[str, Any]:
        """Check a video without running the model, and say what a run would cost.

        Returns `facts` (a sentence), `duration_secs`, `video_tokens`, `seconds` on this machine
        (null before anything was measured), and `too_long` (null, or the most frames that fit).
        """
        shown = (fps, max_frames, 1, max_pixels, max_video_tokens)
        settings = Settings(0, 0, 1, 1, 1, *shown)
        facts = _returned(lambda: service.videos.facts(_video(service, video, folder), settings))
        return dict(facts)

    def trace(key: str) -> FileData:
        """The trace (NPZ) of a finished run by its key, as long as the server keeps it."""

        def work() -> FileData:
            finished = service.results.get(key)
            if finished is None:
                raise UserError(GONE)
            return _file(exports, finished)

        return _returned(work)

    gr.api(ask, api_name="ask", concurrency_limit=16, concurrency_id="run")
    gr.api(inspect, api_name="inspect", concurrency_limit=4)
    gr.api(trace, api_name="trace", concurrency_limit=4)


def _video(service: Service, sent: Any, folder: Path) -> Video:
    """The playable copy of a file that a client has sent. Raises UserError."""
    path = Path(str(sent.get("path"))).resolve() if isinstance(sent, dict) else folder
    if not path.is_relative_to(folder) or not path.is_file():
        raise UserError("The video did not arrive: send a file, not an address.")
    return service.videos.prepare(path, str(sent.get("orig_name") or path.name))


def _sides(cube: Any) -> Sequence[Any]:
    if not isinstance(cube, list) or len(cube) != 3:
        raise UserError(f"cube must be three whole numbers (time, height, width), got {cube!r}.")
    return cube


def _file(exports: Exports, finished: Finished) -> FileData:
    return FileData(path=str(exports.trace(finished)))


def _returned(work: Callable[[], Returned]) -> Returned:
    """What `work` returns; what it raises as one sentence for the client."""
    try:
        return work()
    except Exception as error:
        raise gr.Error(sentence(error), print_exception=False) from error
