"""What the studio offers by the Model Context Protocol beyond its endpoints: the tool `compare`,
and finished runs and batches as resources. Its other tools are `/ask` and `/inspect`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import gradio as gr
from gradio import FileData

from adaspark.errors import UserError
from adaspark.method.config import one_number, own_text_top_p
from app.service.compare import vary_to
from app.service.run_labels import labels
from app.service.service import Service
from app.service.sessions import Asked, Video
from app.service.settings import Settings, checked_question
from app.service.side_by_side import sides
from app.web.answers import GONE, returned

RUN = "adaspark://runs/{key}"
BATCHES = "adaspark://batches"
BATCH = "adaspark://batches/{name}"
PAGE = "adaspark://batches/{name}/rows/{page}"


def check_installed() -> None:
    """Raise UserError unless Gradio can speak the protocol."""
    if find_spec("mcp") is None:
        raise UserError(
            "The Model Context Protocol needs a package more: pip install 'adaspark-studio[mcp]'."
        )


def add_tools(service: Service, read_video: Callable[[gr.Request, Any], Video]) -> None:
    """Add the tool and the resources to the gr.Blocks under construction.

    `read_video` makes a video of what a client has sent.
    """
    default = service.engine.default_config

    def compare(
        request: gr.Request,
        video: FileData,
        question: str,
        baseline: str = "dense",
        attn_top_p: float = one_number(default.attn_top_p),
        ffn_top_p: float = one_number(default.ffn_top_p),
        max_frames: int = 0,
        max_new_tokens: int = 32,
        text_top_p: float | None = own_text_top_p(default),
        ffn_importance: str = default.ffn_importance,
    ) -> dict[str, Any]:
        """Ask a question about a video twice, sparse and by a baseline, and set both side by side.

        `baseline` is dense, or top_k, uniform, random, recent (cubes), frames or prune at the same
        FLOPs; `max_frames` of 0 is the model's own; `text_top_p` and `ffn_importance` are as in
        `/ask`. Returns `sides` (answers, densities, FLOPs,
        seconds of both) and `keys`, by which adaspark://runs/KEY finds each run.
        """

        def work() -> dict[str, Any]:
            shown = (0, max_frames, max_new_tokens, 0, 0, text_top_p, ffn_importance)
            options = Settings(attn_top_p, ffn_top_p, *default.cube, *shown)
            limited = options.options(service.limits)
            asked = Asked(read_video(request, video), checked_question(question, service.limits))
            session = str(request.session_hash)
            base = service.answer(session, asked, limited)
            other = service.answer(session, asked, replace(limited, **vary_to(baseline)(base)))
            both = sides(base, other, labels(base, other))
            return {"sides": both, "keys": [base.key, other.key]}

        return returned(work)

    @gr.mcp.resource(RUN)  # type: ignore[untyped-decorator]
    def run(key: str) -> str:
        """The figures of a finished run, as JSON: answer, densities, FLOPs, seconds, layers."""

        def work() -> str:
            finished = service.results.get(key)
            if finished is None:
                raise UserError(GONE)
            return json.dumps({**finished.result.summary(), "question": finished.question})

        return returned(work)

    gr.api(compare, api_name="compare", concurrency_limit=None)
    gr.api(run, api_name="run", concurrency_limit=4)
    _add_batches(service.limits.batches_folder)


def _add_batches(folder: Path | None) -> None:
    from app.media.batches import Batches  # and with it pyarrow, which a page does not wait for

    found = Batches(folder)

    @gr.mcp.resource(BATCHES)  # type: ignore[untyped-decorator]
    def batches() -> str:
        """The names of the batches that `adaspark inspect` has written here, as a JSON list."""
        return json.dumps(found.names())

    @gr.mcp.resource(BATCH)  # type: ignore[untyped-decorator]
    def batch(name: str) -> str:
        """A batch as JSON: its rows, videos and errors, and means by setting and by layer."""
        return returned(lambda: json.dumps(found.summary(name)))

    @gr.mcp.resource(PAGE)  # type: ignore[untyped-decorator]
    def batch_rows(name: str, page: str) -> str:
        """A hundred rows of a batch, as JSON: question, answer, densities, FLOPs, seconds."""
        return returned(lambda: json.dumps(found.page(name, page)))

    for resource in (batches, batch, batch_rows):
        gr.api(resource, api_name=resource.__name__, concurrency_limit=4)
