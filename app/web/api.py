"""Three typed endpoints for programs, with the page's limits and without a session."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr
from gradio import FileData

from adaspark.errors import UserError
from adaspark.method.config import one_number, own_text_top_p
from app.service.results import Finished
from app.service.service import Service
from app.service.sessions import KEEP, Asked, Keep, Video
from app.service.settings import Settings, checked_forced, checked_question
from app.web.answers import GONE, returned
from app.web.exports import Exports
from app.web.mcp import add_tools

Take = Callable[[gr.Request, Any], Video]
"""The playable copy of what a client has sent. Raises UserError."""


def add_endpoints(
    service: Service, exports: Exports, uploads_folder: Path, *, mcp: bool = False
) -> None:
    """Add `/ask`, `/inspect` and `/trace` to the gr.Blocks under construction.

    `uploads_folder` is where Gradio puts what a client sends. With `mcp` there are also the tools
    of `app.web.mcp`; `/trace`, whose answer is a file, is then not listed among them.
    """
    folder = uploads_folder.resolve()

    def take(request: gr.Request, sent: Any) -> Video:
        return _video(service, request, sent, folder)

    gr.api(_asking(service, exports, take), api_name="ask", concurrency_limit=None)
    gr.api(_inspecting(service, take), api_name="inspect", concurrency_limit=4)
    listed: Any = "undocumented" if mcp else "public"
    trace = _tracing(service, exports)
    gr.api(trace, api_name="trace", concurrency_limit=4, api_visibility=listed)
    if mcp:
        add_tools(service, take)


def _asking(service: Service, exports: Exports, take: Take) -> Callable[..., Any]:
    """`/ask`, with the model's own settings as defaults."""
    default = service.engine.default_config

    def ask(
        request: gr.Request,
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
        text_top_p: float | None = own_text_top_p(default),
        keep: str = "nothing",
        ffn_importance: str = default.ffn_importance,
        forced: dict[str, bool] | None = None,
    ) -> tuple[str, dict[str, Any], FileData]:
        """Ask a question about a video.

        `cube` is (time, height, width) in merged tokens; `max_pixels` is of one frame as it is
        shown. `fps`, `max_frames`, `max_pixels`, `max_video_tokens` of 0 are the model's own.
        `text_top_p` is for question and answer; null: as `attn_top_p`. `ffn_importance` says whose
        norm ranks the FFN's tokens: residual (the paper), or input, after the RMSNorm.
        `forced` are cubes that every query of every layer reads (true) or none does (false), by
        their numbers, counted from 0 in order of time, height and width: {"3": false}.
        `keep` is for this session's next question about the same video with the same settings:
        "video" need not be read again (`cached_tokens` then says how many tokens were not), with
        "conversation" the questions asked so and their answers stay in the context too.
        Returns the answer; a summary: densities, FLOPs, seconds, layers, and `key`, by which
        `/trace` finds the run; and the trace, an NPZ file.
        """

        def work() -> tuple[str, dict[str, Any], FileData]:
            t, h, w = _sides(cube)
            shown = (fps, max_frames, max_new_tokens, max_pixels, max_video_tokens)
            own = (text_top_p, ffn_importance)
            settings = Settings(attn_top_p, ffn_top_p, t, h, w, *shown, *own)
            options = settings.options(service.limits)
            options = replace(options, forced=checked_forced(forced))
            asked_for = checked_question(question, service.limits)
            asked = Asked(take(request, video), asked_for)
            kept = _keep(request, keep)
            finished = service.answer(str(request.session_hash), asked, options, keep=kept)
            summary = {**finished.result.summary(), "key": finished.key}
            return finished.result.answer, summary, _file(exports, finished)

        return returned(work)

    return ask


def _inspecting(service: Service, take: Take) -> Callable[..., Any]:
    """`/inspect`."""

    def inspect(
        request: gr.Request,
        video: FileData,
        fps: float = 0,
        max_frames: int = 0,
        max_pixels: int = 0,
        max_video_tokens: int = 0,
    ) -> dict[str, Any]:
        """Check a video without running the model, and say what a run would cost.

        Returns `facts` (a sentence), `duration_secs`, `video_tokens`, `seconds` on this machine
        (null before anything was measured), `too_long` (null, or the most frames that fit), and
        `warnings` (sentences: that the model is shown more frames than it was trained on).
        """
        shown = (fps, max_frames, 1, max_pixels, max_video_tokens)
        settings = Settings(0, 0, 1, 1, 1, *shown)
        sent = returned(lambda: take(request, video))
        facts = returned(lambda: service.videos.facts(sent, settings))
        return dict(facts)

    return inspect


def _tracing(service: Service, exports: Exports) -> Callable[..., Any]:
    """`/trace`."""

    def trace(key: str) -> FileData:
        """The trace (NPZ) of a finished run by its key, as long as the server keeps it."""

        def work() -> FileData:
            finished = service.results.get(key)
            if finished is None:
                raise UserError(GONE)
            return _file(exports, finished)

        return returned(work)

    return trace


def _video(service: Service, request: gr.Request, sent: Any, folder: Path) -> Video:
    """The playable copy of a file that a client has sent, which is the client's. Raises
    UserError.
    """
    path = Path(str(sent.get("path"))).resolve() if isinstance(sent, dict) else folder
    if not path.is_relative_to(folder) or not service.videos.is_known(path):
        raise UserError("The video did not arrive: send a file, not an address.")
    video = service.videos.prepare(path, str(sent.get("orig_name") or path.name))
    service.belongings.own(str(request.session_hash), video=video.path)
    return video


def _keep(request: gr.Request, keep: Any) -> Keep:
    """What a client wants to be kept for it. Raises UserError: for one without a session too."""
    if keep not in KEEP:
        raise UserError(f"keep must be one of {', '.join(KEEP)}, got {keep!r}.")
    if keep != "nothing" and not request.session_hash:
        raise UserError("To keep anything a client needs a session: send a session_hash.")
    found: Keep = keep
    return found


def _sides(cube: Any) -> Sequence[Any]:
    if not isinstance(cube, list) or len(cube) != 3:
        raise UserError(f"cube must be three whole numbers (time, height, width), got {cube!r}.")
    return cube


def _file(exports: Exports, finished: Finished) -> FileData:
    return FileData(path=str(exports.trace(finished)))
