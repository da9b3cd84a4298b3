"""Addresses beside the page: a finished run's files, `studio/KEY/NAME`, the videos that are shown,
and another copy of one that a browser cannot show.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Callable, Container
from pathlib import Path
from typing import Any, BinaryIO

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
from app.media import uploads
from app.media.copies import Copies
from app.service.live_runs import LiveRuns
from app.service.messages import RunMessage
from app.service.queue import sentence
from app.service.results import Finished, Results
from app.web.exports import Exports, download_name
from app.web.films import film_order
from viz.data.dropped import dropped_table
from viz.data.importance import importance_table
from viz.data.layer_detail import layer_detail
from viz.data.queries import Looked, Query, cube_table, query_preview, query_table
from viz.data.thresholds import cost_curves
from viz.figures import figures
from viz.palette import Theme

GONE = "This result is no longer on the server; ask again."
_CHUNK_BYTES, _LOOK_AGAIN_SECS = 2**18, 0.1
_UNCHANGING = {"Cache-Control": "private, max-age=3600, immutable"}

Serve = Callable[[Finished, Request], Response]


def routes(results: Results, exports: Exports) -> list[Route]:
    """The routes. Their handlers are plain functions, which the server runs in threads."""

    def other_run(request: Request, name: str) -> Finished:
        """The run that the address names beside its own. Raises UserError."""
        other = results.get(request.query_params.get(name, ""))
        if other is None:
            raise UserError(GONE)
        return other

    def dropped(finished: Finished, request: Request) -> Response:
        dense = other_run(request, "dense")
        looked = Looked(finished.view, query=_query(finished, request))
        return JSONResponse(dropped_table(looked, dense.result.trace), headers=_UNCHANGING)

    def trace(finished: Finished, request: Request) -> Response:
        return _download(exports.trace(finished), finished)

    def report(finished: Finished, request: Request) -> Response:
        return _download(exports.report(finished), finished)

    def video(finished: Finished, request: Request) -> Response:
        order = film_order(request.query_params, _layer(request))
        return _download(exports.film(finished, order), finished, f"-layer-{order.layer}")

    def difference(finished: Finished, request: Request) -> Response:
        given, layer = request.query_params, _layer(request)
        other = other_run(request, "other")
        kind, compared = given.get("kind", "question"), given.get("compared", "cubes")
        drawn = {"kind": kind, "compared": compared, "own_legend": given.get("own_legend", "")}
        path = exports.difference(finished, other, layer=layer, **drawn)
        return _download(path, finished, f"-difference-layer-{layer}")

    files = {
        "scene.json": _scene_file,
        "layer.json": _layer_file,
        "query.json": _query_file,
        "preview.json": _preview_file,
        "cube.json": _cube_file,
        "importance.json": _importance_file,
        "dropped.json": dropped,
        "budget.json": _budget_file,
        "figure.json": _figure_file,
        "table.json": _table_file,
        "table.csv": _table_csv_file,
        "trace.npz": trace,
        "report.html": report,
        "overlay.mp4": video,
        "difference.mp4": difference,
    }
    return [Route(f"/studio/{{key}}/{name}", _of(results, serve)) for name, serve in files.items()]


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
        if path.suffix == uploads.GROWING:
            try:  # opened before anything is answered: it may be whole, and removed, by now
                file = path.open("rb")
            except FileNotFoundError:
                path = uploads.finished(path)
                if not path.exists():  # its writing failed
                    return PlainTextResponse(GONE, 404)
            else:
                return StreamingResponse(_as_it_grows(file), media_type="video/mp4")
        return FileResponse(path, media_type="video/mp4")

    return Route("/studio/growing/{name}", answer)


def alive() -> Route:
    """`studio/alive`: which start of the server answers; the page asks it once a second."""
    start = {"start": secrets.token_hex(8)}

    async def answer(request: Request) -> Response:
        return JSONResponse(start, headers={"Cache-Control": "no-store"})

    return Route("/studio/alive", answer)


def live_run(live_runs: LiveRuns[RunMessage]) -> Route:
    """`studio/runs/TICKET`: the newest state of a run, for a page that could not hear it."""

    def answer(request: Request) -> Response:
        run = live_runs.get(request.path_params["ticket"])
        if run is None:
            return JSONResponse({"state": "unknown"}, headers={"Cache-Control": "no-store"})
        message, is_over = run.newest()
        ended = is_over and (message is None or message["state"] == "running")
        state = {"state": "superseded"} if ended else (message or {"state": "running"})
        return JSONResponse(state, headers={"Cache-Control": "no-store"})

    return Route("/studio/runs/{ticket}", answer)


async def _as_it_grows(growing: BinaryIO) -> AsyncIterator[bytes]:
    """The bytes of a file as they are written; it is complete when it is removed."""
    with growing as file:
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


def _scene_file(finished: Finished, request: Request) -> Response:
    return Response(finished.scene_json, media_type="application/json", headers=_UNCHANGING)


def _layer_file(finished: Finished, request: Request) -> Response:
    at = _below(request, "layer", len(finished.result.trace.computed_pairs))
    return JSONResponse(layer_detail(finished.view.drawn, at), headers=_UNCHANGING)


def _query_file(finished: Finished, request: Request) -> Response:
    asked = _query(finished, request)
    return JSONResponse(query_table(finished.view.drawn, asked), headers=_UNCHANGING)


def _preview_file(finished: Finished, request: Request) -> Response:
    layer = _below(request, "layer", len(finished.result.trace.computed_pairs))
    made = query_preview(finished.view.drawn, layer, _query(finished, request))
    return JSONResponse(made, headers=_UNCHANGING)


def _cube_file(finished: Finished, request: Request) -> Response:
    at = _below(request, "cube", len(finished.result.trace.bounds))
    return JSONResponse(cube_table(finished.view.drawn, at), headers=_UNCHANGING)


def _importance_file(finished: Finished, request: Request) -> Response:
    layer = _below(request, "layer", len(finished.result.trace.computed_pairs))
    return JSONResponse(importance_table(finished.view.trace, layer), headers=_UNCHANGING)


def _budget_file(finished: Finished, request: Request) -> Response:
    return JSONResponse(cost_curves(finished.view), headers=_UNCHANGING)


def _figure_file(finished: Finished, request: Request) -> Response:
    theme: Theme = "dark" if request.query_params.get("theme") == "dark" else "light"
    view, name = finished.view, _name(request, figures.FIGURES)
    asked = _looked(finished, request)
    drawn = figures.draw(name, view, layer=_layer(request), query=asked, theme=theme)
    return Response(drawn.to_json(), media_type="application/json", headers=_UNCHANGING)


def _table_file(finished: Finished, request: Request) -> Response:
    return JSONResponse(_rows(finished, request), headers=_UNCHANGING)


def _table_csv_file(finished: Finished, request: Request) -> Response:
    text = figures.csv_text(_rows(finished, request))
    return Response(text, media_type="text/csv", headers=_UNCHANGING)


def _rows(finished: Finished, request: Request) -> list[dict[str, Any]]:
    name = _name(request, figures.FIGURES)
    rows: list[dict[str, Any]] = figures.table(
        name, finished.view, layer=_layer(request), query=_looked(finished, request)
    )
    return [
        {key: finite_or_none(v) if isinstance(v, float) else v for key, v in row.items()}
        for row in rows
    ]


def _name(request: Request, known: Container[str]) -> str:
    name = request.query_params.get("name", "")
    if name not in known:
        raise UserError(f"There is no figure named {name!r}.")
    return name


def _query(finished: Finished, request: Request) -> Query:
    """Whose choices are asked for: `kind`, `row` or `cube`, and `head` if it is one. Raises
    UserError.
    """
    words, heads = finished.result.trace.word_kept.shape[1:3]
    given = request.query_params
    head = _below(request, "head", heads) if "head" in given else None
    if "row" in given:
        return Query(row=_below(request, "row", words), head=head)
    if "cube" in given:
        cube = _below(request, "cube", len(finished.result.trace.bounds))
        if cube not in finished.result.trace.query_cubes:
            raise UserError(f"What cube {cube} itself reads was not recorded.")
        return Query(cube=cube)
    kind = given.get("kind", "")
    if kind not in finished.view.kinds or (kind == "video" and head is not None):
        raise UserError(f"This run has no record of {kind or 'that'} by head to draw.")
    return Query(kind=kind, head=head)


def _looked(finished: Finished, request: Request) -> Query | None:
    """The query that figures follow; None: the question's."""
    is_named = not {"kind", "row", "cube"}.isdisjoint(request.query_params)
    return _query(finished, request) if is_named else None


def _below(request: Request, name: str, end: int) -> int:
    """A whole number below `end` that the address gives. Raises UserError."""
    number = _number(request, name)
    if number >= end:
        raise UserError(f"This run has no {name} {number}.")
    return number


def _layer(request: Request) -> int:
    return _number(request, "layer")


def _number(request: Request, name: str) -> int:
    """A whole number that the address gives; 0 where it gives none."""
    given = request.query_params.get(name, "0")
    return int(given) if given.isascii() and given.isdigit() else 0


def _download(path: Path, finished: Finished, detail: str = "") -> Response:
    return FileResponse(path, filename=download_name(finished, f"{detail}{path.suffix}"))
