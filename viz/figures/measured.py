"""The paper's figures as questions, answered by measured results (`results.json`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from viz.data.series import Line
from viz.figures.layout import add_lines, laid_out

Rows = list[dict[str, Any]]
LOG_TICKS = [figure * 10.0**power for power in range(-6, 7) for figure in (1, 2, 5)]
"""Plotly's own would say 2 of 0.2 and of 20."""


@dataclass(frozen=True)
class Asked:
    """A figure of the paper as a question, and the table that answers it.

    `table` names it in the results, {clips} in it stands for their size; `x` and `lines` are its
    columns; with `by` there is one line for each of that column's values, of the first column of
    `lines`; `only` is the value that a column must have.
    """

    figure: int
    question: str
    paper: str
    experiment: str
    table: str
    x: str
    y: str
    lines: dict[str, str]
    by: str = ""
    only: tuple[str, str] = ("", "")
    log: bool = False


QUESTIONS = {
    "attention": Asked(
        1,
        "Is attention to video sparse?",
        "In Qwen2.5-VL a few vision tokens hold most of the attention.",
        "attention",
        "Concentration by layer, clips {clips}",
        "layer",
        "Tokens that hold 95 % of it",
        {"video: 95 %": "Video", "question: 95 %": "Question", "answer: 95 %": "Answer"},
    ),
    "ffn": Asked(
        1,
        "Does the FFN leave video tokens as they are?",
        "In Qwen2.5-VL the FFN moves text tokens, and hardly the vision tokens.",
        "attention",
        "What the FFN moves, clips {clips}",
        "layer",
        "|FFN(x)| / |x|",
        {"video: mean": "Video", "text: mean": "Text"},
        log=True,
    ),
    "needle": Asked(
        3,
        "Is a needle found in a long video?",
        "On VideoNIAH AdaSpark finds the needle at every depth; other efficient models lose it.",
        "niah",
        "A needle in a haystack",
        "length",
        "Needles found",
        {"found": "found"},
        by="condition",
    ),
    "layers": Asked(
        4,
        "Do deeper layers keep less?",
        "Sparsity grows with depth; what the FFN passes varies from layer to layer.",
        "layers",
        "Kept cubes and tokens by layer, clips {clips}",
        "layer",
        "Share that is kept",
        {
            "video: cubes": "Cubes, video",
            "question: cubes": "Cubes, question",
            "answer: cubes": "Cubes, answer",
            "FFN: video tokens": "Tokens, FFN",
        },
    ),
    "case": Asked(
        5,
        "Does a word choose what it asks about?",
        "In a case study, query words choose the cubes of what they name.",
        "case",
        "Chosen and true tokens by layer",
        "layer",
        "Tokens that the key word chose",
        {"of the object chosen": "Of the object", "of the video chosen": "Of the whole video"},
        only=("word", "the key word"),
    ),
}
FIDELITY = "Answers: how far from dense"
_NAMES = {"arm": "condition"}
"""Columns of the experiments' tables under the names that the page has for them."""
_ROLES = ("video", "question", "answer", "ffn")


def sizes(results: dict[str, Any], asked: Asked) -> list[str]:
    """The sizes of clips that a question was measured on; empty if it is not told apart by them."""
    head = asked.table.partition("{clips}")[0]
    if "{clips}" not in asked.table:
        return []
    found = (table["title"] for table in results["tables"])
    return [title.removeprefix(head).split(" ")[0] for title in found if title.startswith(head)]


def rows(results: dict[str, Any], title: str) -> Rows:
    """A table's rows by the names of its columns; a value with its interval is a list of three."""
    for table in results["tables"]:
        if table["title"].removesuffix(" (S)") == title:
            names = [_NAMES.get(column["name"], column["name"]) for column in table["columns"]]
            return [dict(zip(names, row, strict=True)) for row in table["rows"]]
    return []


def measured(results: dict[str, Any], asked: Asked, clips: str) -> Rows:
    """The rows that answer a question."""
    column, value = asked.only
    found = rows(results, asked.table.replace("{clips}", clips))
    return [row for row in found if not column or row[column] == value]


def draw(found: Rows, asked: Asked, theme: Any) -> go.Figure:
    """The lines of a question with their 95 % intervals; `theme` is one of the palette's.

    The question stands beside it; the legend is above, for names along the axis may be slanted.
    """
    figure = laid_out(go.Figure(), theme, "", asked.x.capitalize(), asked.y)
    figure.update_layout(legend={"y": 1.02, "yanchor": "bottom"}, margin={"t": 36})
    lines = _lines(found, asked)
    add_lines(figure, [line for line, _ in lines], theme)
    for part, (_, bounds) in zip(figure.data, lines, strict=True):
        up, down = ([hi - at for at, _, hi in bounds], [at - lo for at, lo, _ in bounds])
        part.error_y = {"array": up, "arrayminus": down, "thickness": 1, "width": 3}
    if asked.log:
        names = [f"{tick:g}" for tick in LOG_TICKS]
        figure.update_yaxes(
            type="log", range=None, autorange=True, tickvals=LOG_TICKS, ticktext=names
        )
    return figure


def sentence(found: Rows, asked: Asked) -> str:
    """What the lines show, in words."""
    said = []
    for line, _ in _lines(found, asked):
        values = [(y, x) for y, x in zip(line.y, line.x, strict=True) if y is not None]
        ends = (min(values), max(values))
        low, high = (f"{_shown(y, asked)} ({asked.x} {x})" for y, x in ends)
        same = len({y for y, _ in values}) == 1
        said.append(f"{line.name}: {_shown(values[0][0], asked) if same else f'{low} to {high}'}")
    return "; ".join(said) + "."


def _shown(value: float, asked: Asked) -> str:
    return f"{value:.3g}" if asked.log else f"{100 * value:.3g} %"


def _lines(found: Rows, asked: Asked) -> list[tuple[Line, list[tuple[float, float, float]]]]:
    """Each line with its values and their intervals."""
    if asked.by:
        column = next(iter(asked.lines))
        groups = {row[asked.by]: column for row in found}
        parts = [
            (name, [row for row in found if row[asked.by] == name], column)
            for name, column in groups.items()
        ]
    else:
        parts = [(name, found, column) for column, name in asked.lines.items()]
    made = []
    for number, (name, of, column) in enumerate(parts):
        bounds = [_bounds(row[column]) for row in of]
        x: list[Any] = [str(row[asked.x]) for row in of]
        role = _ROLES[number % len(_ROLES)]
        made.append((Line(name, role, x, [at for at, _, _ in bounds]), bounds))
    return made


def _bounds(value: Any) -> tuple[float, float, float]:
    if isinstance(value, list):
        return float(value[0]), float(value[1]), float(value[2])
    return float(value), float(value), float(value)
