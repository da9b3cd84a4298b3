"""Addresses beside the page: a finished run's files, `studio/KEY/NAME`, another copy of a video
that a browser cannot show, and `/healthz`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Container
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import (
    FileResponse,
    JSONResponse,
    PlainTextResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Route

from adaspark.errors import UserError
from adaspark.trace.summary import finite_or_none
from app.media.copies import Copies
from app.media.uploads import GROWING
from app.service.deferred_engine import DeferredEngine
from app.service.queue import sentence
from app.service.results import Finished, Results
from app.web.exports import Exports, download_name
from viz.data.layer_detail import layer_detail
from viz.figures import figures
from viz.palette import Theme

GONE = "This result is no longer on the server; ask again."
_CHUNK_BYTES, _LOOK_AGAIN_SECS = 2**18, 0.1
_UNCHANGING = {"Cache-Control": "private, max-age=3600, immutable"}

Serve = Callable[[Finished, Request], Response]


def routes(results: Results, exports: Exports) -> list[Route]:
    """The routes. Their handlers are plain functions, which the server runs in threads."""

    def scene(finished: Finished, request: Request) -> Response:
        return Response(finished.scene_json, media_type="application/json", headers=_UNCHANGING)

    def layer(finished: Finished, request: Request) -> Response:
        at = _layer(request)
        if at not in range(len(finished.result.trace.computed_pairs)):
            raise UserError(f"This run has no layer {at}.")
        return JSONResponse(layer_detail(finished.view, at), headers=_UNCHANGING)

    def trace(finished: Finished, request: Request) -> Response:
        return _download(exports.trace(finished), finished)

    def report(finished: Finished, request: Request) -> Response:
        return _download(exports.report(finished), finished)

    def video(finished: Finished, request: Request) -> Response:
        given, layer = request.query_params, _layer(request)
        kind, mode = given.get("kind", "question"), given.get("mode", "spotlight")
        path = exports.video(finished, layer=layer, kind=kind, mode=mode)
        return _download(path, finished, f"-layer-{layer}")

    def difference(finished: Finished, request: Request) -> Response:
        given, layer = request.query_params, _layer(request)
        other = results.get(given.get("other", ""))
        if other is None:
            raise UserError(GONE)
        kind, compared = given.get("kind", "question"), given.get("compared", "cubes")
        path = exports.difference(finished, other, layer=layer, kind=kind, compared=compared)
        return _download(path, finished, f"-difference-layer-{layer}")

    def figure(finished: Finished, request: Request) -> Response:
        theme: Theme = "dark" if request.query_params.get("theme") == "dark" else "light"
        view, name = finished.view, _name(request, figures.FIGURES)
        drawn = figures.draw(name, view, layer=_layer(request), theme=theme)
        return Response(drawn.to_json(), media_type="application/json", headers=_UNCHANGING)

    def table(finished: Finished, request: Request) -> Response:
        return JSONResponse(_rows(finished, request), headers=_UNCHANGING)

    def table_csv(finished: Finished, request: Request) -> Response:
        text = figures.csv_text(_rows(finished, request))
        return Response(text, media_type="text/csv", headers=_UNCHANGING)

    files = {
        "scene.json": scene,
        "layer.json": layer,
        "figure.json": figure,
        "table.json": table,
        "table.csv": table_csv,
        "trace.npz": trace,
        "report.html": report,
        "overlay.mp4": video,
        "difference.mp4": difference,
    }
    return [Route(f"/studio/{{key}}/{name}", _of(results, serve)) for name, serve in files.items()]


def health(engine: DeferredEngine) -> Route:
    """`/healthz`: that the server answers, and what is known of its model."""

    def answer(request: Request) -> Response:
        return JSONResponse(
            {"status": "ok", **engine.facts()}, headers={"Cache-Control": "no-store"}
        )

    return Route("/healthz", answer)


def safe_copy(copies: Copies) -> Route:
    """`POST studio/safe-copy?of=URL`: makes and answers the address of another copy of a video."""

    def answer(request: Request) -> Response:
        try:
            return PlainTextResponse(copies.safe(request.query_params.get("of", "")))
        except Exception as error:
            return PlainTextResponse(sentence(error), 400)

    return Route("/studio/safe-copy", answer, methods=["POST"])


def growing(copies: Copies) -> Route:
    """`studio/growing/NAME`: the copy of an upload while it is being written, to its end."""

    def answer(request: Request) -> Response:
        path = copies.growing(request.path_params["name"])
        if path is None:
            return PlainTextResponse(GONE, 404)
        if path.suffix == GROWING:
            return StreamingResponse(_as_it_grows(path), media_type="video/mp4")
        return FileResponse(path, media_type="video/mp4")

    return Route("/studio/growing/{name}", answer)


async def _as_it_grows(path: Path) -> AsyncIterator[bytes]:
    """The bytes of a file as they are written; it is complete when it is removed."""
    with path.open("rb") as file:
        while True:
            is_whole = os.fstat(file.fileno()).st_nlink == 0
            if chunk := file.read(_CHUNK_BYTES):
                yield chunk
            elif is_whole:
                return
            else:
                await asyncio.sleep(_LOOK_AGAIN_SECS)


def _of(results: Results, serve: Serve) -> Callable[[Request], Response]:
    """`serve` for the run that the address names; a sentence if that fails."""

    def answer(request: Request) -> Response:
        finished = results.get(request.path_params["key"])
        if finished is None:
            return PlainTextResponse(GONE, 404)
        try:
            return serve(finished, request)
        except Exception as error:
            return PlainTextResponse(sentence(error), 400)

    return answer


def _rows(finished: Finished, request: Request) -> list[dict[str, Any]]:
    name = _name(request, figures.FIGURES)
    rows: list[dict[str, Any]] = figures.table(name, finished.view, layer=_layer(request))
    return [
        {key: finite_or_none(v) if isinstance(v, float) else v for key, v in row.items()}
        for row in rows
    ]


def _name(request: Request, known: Container[str]) -> str:
    name = request.query_params.get("name", "")
    if name not in known:
        raise UserError(f"There is no figure named {name!r}.")
    return name


def _layer(request: Request) -> int:
    given = request.query_params.get("layer", "0")
    return int(given) if given.isascii() and given.isdigit() else 0


def _download(path: Path, finished: Finished, detail: str = "") -> Response:
    return FileResponse(path, filename=download_name(finished, f"{detail}{path.suffix}"))
