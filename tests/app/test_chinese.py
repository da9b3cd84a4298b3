"""What the server says, in Chinese: each sentence of an error, each text of each figure."""

from __future__ import annotations

import ast
import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from adaspark.trace.trace import Trace
from app.media.reader import pool
from app.web import wrong_logins
from tests.chinese import english
from tests.js.check import node_version
from tests.paths import ROOT
from viz.data.queries import Query
from viz.figures import measured
from viz.figures.figures import FIGURES, draw, table

pytestmark = pytest.mark.skipif(node_version() is None, reason="Node is not installed")
SAYING = [
    *(f"app/media/{name}.py" for name in ("copies", "opened_traces", "uploads", "videos")),
    *("app/media/reader/pool.py", "app/page/handlers.py"),
    *(f"app/service/{path.name}" for path in sorted((ROOT / "app/service").glob("*.py"))),
    *(f"app/web/{name}.py" for name in ("answers", "exports", "films", "files", "routes", "guard")),
    "app/web/wrong_logins.py",
    *(f"adaspark/video/{name}.py" for name in ("colour", "file", "header", "limits")),
    *("adaspark/model/request.py", "adaspark/model/shown.py", "adaspark/trace/meta.py"),
]
"""What raises sentences that visitors see; others are for who starts the server."""
FOR_OPERATORS = "7 is not JSON"
"""How a sentence begins that nobody but who starts the server reads."""
QUERIES = [Query(kind="video"), Query(kind="question"), Query(kind="answer", head=1), Query(cube=3)]


def sentences(path: str) -> Iterator[str]:
    """What a module raises as UserError or names as a sentence, with 7 for what changes."""
    tree = ast.parse((ROOT / path).read_text("utf-8"))
    for node in ast.walk(tree):
        said = None
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "UserError":
            said = node.args[0]
        elif (isinstance(node, ast.Assign) and node in tree.body) or isinstance(node, ast.Return):
            said = node.value
        text = _text(said)
        if text and text.endswith(".") and len(text.split()) > 3:
            yield text


def _text(node: ast.expr | None) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value.replace("{}", "7").replace("{:,}", "7")
    if not isinstance(node, ast.JoinedStr):
        return ""
    text = ""
    for part in node.values:
        if isinstance(part, ast.Constant):
            text += str(part.value)
        elif not text[-1:].isalpha():  # what follows a letter at once is an optional rest
            text += "7%" if ast.unparse(part).endswith("%}'") else "7"
    return text


def translated(texts: list[str], figures: list[Any]) -> dict[str, list[str]]:
    given = json.dumps({"texts": texts, "figures": figures})
    script = str(ROOT / "tests/js/translated.mjs")
    done = subprocess.run(["node", script], input=given, capture_output=True, text=True, check=True)
    found: dict[str, list[str]] = json.loads(done.stdout)
    return found


def test_each_sentence_of_an_error_has_a_chinese_one() -> None:
    said = [text.format(name=7, memory_mb=7, file_mb=7) for text in pool._SENTENCES.values()]
    for path in SAYING:
        said += [text for text in sentences(path) if not text.startswith(FOR_OPERATORS)]
    assert english(translated(said, [])["texts"]) == []


def test_the_errors_are_found() -> None:
    assert sum(len([*sentences(path)]) for path in SAYING) > 80
    assert english(["第 2 层 “yellow”, a.mp4, FFN", "第 2 层 yellow"]) == ["第 2 层 yellow"]


def test_how_long_a_login_has_to_wait_is_said_in_chinese() -> None:
    said = [wrong_logins._sentence(secs) for secs in (20, 600)]
    assert english(translated(said, [])["texts"]) == []


def test_each_text_of_each_figure_is_chinese() -> None:
    trace = Trace.load(ROOT / "assets/traces/1_needle.npz")
    word = trace.answer_queries().tolist()[0]
    figures, captions = [], []
    for query in [*QUERIES, Query(row=word, head=2)]:
        for name in FIGURES:
            figure = json.loads(draw(name, trace, layer=2, query=query).to_json())
            captions.append(figure["layout"]["meta"]["caption"])
            figures.append(figure)
    found = translated(captions, figures)
    assert english(found["texts"]) == [] and english(found["figures"]) == []
    assert len(found["figures"]) > 500


def test_each_column_of_each_table_is_chinese() -> None:
    trace = Trace.load(ROOT / "assets/traces/1_needle.npz")
    word = Query(row=trace.answer_queries().tolist()[0], head=1)
    rows = [table(name, trace, layer=2, query=word) for name in FIGURES]
    columns = sorted({column for each in rows for column in each[0]})
    assert english(translated(columns, [])["texts"]) == []


def test_what_was_measured_is_told_in_chinese() -> None:
    texts, figures = [], []
    for asked in measured.QUESTIONS.values():
        path = ROOT / "assets/results" / asked.experiment / "results.json"
        results = json.loads(path.read_text("utf-8"))
        for clips in measured.sizes(results, asked) or [""]:
            rows = measured.measured(results, asked, clips)
            texts += [asked.question, asked.paper, measured.sentence(rows, asked), *rows[0]]
            texts += [value for row in rows for value in row.values() if isinstance(value, str)]
            figures.append(json.loads(measured.draw(rows, asked, "light").to_json()))
    found = translated(texts, figures)
    assert english(found["texts"]) == [] and english(found["figures"]) == []
