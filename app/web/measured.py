"""`studio/measured/...`: the paper's figures as questions with what was measured, for the page."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from viz.figures import measured

_NONE = "These results are not part of this installation; they lie in the repository."
_HEADERS = {"Cache-Control": "private, max-age=3600"}


def routes(assets: Path) -> list[Route]:
    """The questions, each question's answer, the fidelity tables and the model's card, from the
    folder of bundled files.
    """
    folder = assets / "results"
    readme = folder.resolve().parents[1] / "README.md"

    def questions(request: Request) -> Response:
        known = {name: _question(folder, name) for name in measured.QUESTIONS}
        fidelity = {"rows": fidelity_rows(readme), "measured": _fidelity(folder)}
        return JSONResponse({"questions": known, "fidelity": fidelity}, headers=_HEADERS)

    def answer(request: Request) -> Response:
        asked = measured.QUESTIONS.get(request.path_params["name"])
        results = _results(folder, asked.experiment) if asked else None
        if asked is None or results is None:
            return PlainTextResponse(_NONE, 404)
        sizes = measured.sizes(results, asked)
        clips = request.query_params.get("clips", "")
        rows = measured.measured(results, asked, clips if clips in sizes else next(iter(sizes), ""))
        theme: Any = "dark" if request.query_params.get("theme") == "dark" else "light"
        figure = json.loads(measured.draw(rows, asked, theme).to_json())
        said = {"sentence": measured.sentence(rows, asked), "rows": rows, "sizes": sizes}
        return JSONResponse({"figure": figure, **said}, headers=_HEADERS)

    def card(request: Request) -> Response:
        path = assets / "mini" / "README.md"
        return PlainTextResponse(path.read_text("utf-8") if path.is_file() else _NONE)

    return [
        Route("/studio/measured/questions.json", questions),
        Route("/studio/measured/{name}.json", answer),
        Route("/studio/model-card.md", card),
    ]


def fidelity_rows(readme: Path) -> list[list[str]]:
    """The README's table of what the paper says and what was decided; empty without a README."""
    if not readme.is_file():
        return []
    section = readme.read_text("utf-8").partition("\n## Fidelity\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")][2:]
    plain = (re.sub(r"[`*]", "", line) for line in lines)
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in plain]


def _question(folder: Path, name: str) -> dict[str, Any]:
    asked = measured.QUESTIONS[name]
    results = _results(folder, asked.experiment)
    known = {"figure": asked.figure, "question": asked.question, "paper": asked.paper}
    if results is None:
        return known
    setting = results["setting"]
    where = f"{setting['accelerator'] or setting['processor']}, commit {setting['commit']}"
    return {**known, "how": f"{results['command']} ({results['items']} items; {where})"}


def _fidelity(folder: Path) -> list[dict[str, Any]]:
    results = _results(folder, "fidelity")
    return measured.rows(results, measured.FIDELITY) if results else []


@lru_cache(maxsize=16)
def _results(folder: Path, experiment: str) -> dict[str, Any] | None:
    path = folder / experiment / "results.json"
    if not path.is_file():
        return None
    found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return found
