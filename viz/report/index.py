"""The page of many runs: what each setting did, histograms, layer x video maps, a sortable table.

It lies in the folder of the run and opens pictures and pages beside it, from a disk or a server.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean, median
from typing import Any

import numpy as np

from viz.report import modules
from viz.report.heat_map import heat_map
from viz.report.histogram import histogram
from viz.report.markup import tag, text
from viz.report.offline import offline_page

Row = Mapping[str, Any]
MOST_ROWS = 20_000
"""that the page's own table holds; `rows.parquet` has them all"""
_SHOWN = (
    "video", "question", "setting", "answer", "expected", "correct", "attention_density",
    "ffn_density", "flops_reduction", "seconds_decode", "seconds_vision", "seconds_prefill",
    "seconds_generate", "error", "report", "thumbnail",
)  # fmt: skip
_SPREADS = {
    "attention_density": "Attention density",
    "ffn_density": "FFN density",
    "flops_reduction": "FLOPs reduction",
    "seconds_prefill": "Prefill, seconds",
}
_MAPS = {"attention_density": "Attention density", "ffn_density": "FFN density"}


def index_page(rows: Sequence[Row], layers: Sequence[Row]) -> str:
    """One HTML page of the rows of `rows.parquet` and `layers.parquet`, as dicts."""
    scripts, script_src = modules.embedded('import "viz/index_page.js";')
    shown = [[row.get(name) for name in _SHOWN] for row in rows[:MOST_ROWS]]
    data = json.dumps({"columns": _SHOWN, "rows": shown}).replace("<", "\\u003c")
    title = _title(rows)
    parts = (_settings(rows), _spreads(rows), _maps(rows, layers), _answers(len(rows)))
    main = tag("main", tag("header", tag("h1", text(title))), *parts)
    return offline_page(
        title,
        f'{main}\n<script type="application/json" id="rows">{data}</script>\n{scripts}',
        styles=("report.css", "index_page.css"),
        script_src=script_src,
        sources="img-src data: file: 'self'",
    )


def _title(rows: Sequence[Row]) -> str:
    videos = len({row["video"] for row in rows})
    pairs = len({(row["video"], row["question"], row["expected"]) for row in rows})
    return f"{_counted(videos, 'video')}, {_counted(pairs, 'question')} asked"


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def _by_setting(rows: Iterable[Row]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row["setting"], []).append(row)
    return found


def _settings(rows: Sequence[Row]) -> str:
    """One line a setting: how many answers, how many right, and what they cost on average."""
    heads = ("Setting", "Answers", "Errors", "Right", *_SPREADS.values())
    head = tag("tr", *(tag("th", name, scope="col") for name in heads))
    body = [_setting_row(name, mine) for name, mine in _by_setting(rows).items()]
    table = tag("table", tag("thead", head), tag("tbody", *body))
    note = tag("p", "Densities and FLOPs: means. Prefill: the median.", class_="about")
    return tag("section", tag("h2", "Settings"), _scroll("Settings", table), note)


def _setting_row(name: str, rows: Sequence[Row]) -> str:
    judged = [row["correct"] for row in rows if row["correct"] is not None]
    cells = [
        f"{sum(row['error'] is None for row in rows):,}",
        f"{sum(row['error'] is not None for row in rows):,}",
        f"{sum(judged):,} of {len(judged):,}" if judged else "-",
    ]
    for column in _SPREADS:
        values = _known(rows, column)
        middle = median if column.startswith("seconds") else fmean
        cells.append(f"{middle(values):.3g}" if values else "-")
    return tag("tr", tag("th", text(name), scope="row"), *(tag("td", cell) for cell in cells))


def _spreads(rows: Sequence[Row]) -> str:
    charts = [
        histogram({name: _known(mine, column) for name, mine in _by_setting(rows).items()}, title)
        for column, title in _SPREADS.items()
        if _known(rows, column)
    ]
    return tag("section", tag("h2", "Histograms"), *charts, class_="charts") if charts else ""


def _maps(rows: Sequence[Row], layers: Sequence[Row]) -> str:
    """For each setting and half: layers down, videos across, the mean over a video's questions."""
    videos = list(dict.fromkeys(row["video"] for row in rows if row["error"] is None))
    figures = [
        _map(f"{title}, {name}", _grid(mine, column, videos))
        for name, mine in _by_setting(layers).items()
        for column, title in _MAPS.items()
    ]
    if not figures:
        return ""
    scale = tag("p", "0 ", tag("i"), " 1", class_="scale")
    note = tag("p", "Layers from the top down; videos from left to right, in the table's order.")
    title = tag("h2", "Layers by video")
    return tag("section", title, note, scale, tag("div", *figures, class_="layer-maps"))


def _grid(layers: Iterable[Row], column: str, videos: Sequence[str]) -> Any:
    """float64 [L, videos]: means over the questions."""
    at = {video: index for index, video in enumerate(videos)}
    known = [row for row in layers if row[column] is not None and row["video"] in at]
    depth = max((row["layer"] for row in known), default=-1) + 1
    sums, counts = np.zeros((2, depth, len(videos)))
    for row in known:
        sums[row["layer"], at[row["video"]]] += row[column]
        counts[row["layer"], at[row["video"]]] += 1
    return sums / np.maximum(counts, 1)


def _map(label: str, values: Any) -> str:
    means = ", ".join(f"{mean:.2f}" for mean in values.mean(1))
    picture = heat_map(values, f"{label}; means of the layers: {means}")
    return tag("figure", picture, tag("figcaption", text(label)))


def _answers(count: int) -> str:
    more = ""
    if count > MOST_ROWS:
        more = tag("p", f"The first {MOST_ROWS:,} of {count:,} rows; rows.parquet has them all.")
    return tag("section", tag("h2", "Answers"), more, tag("div", id="answers"))


def _known(rows: Iterable[Row], column: str) -> list[float]:
    return [row[column] for row in rows if row[column] is not None]


def _scroll(name: str, inside: str) -> str:
    return tag("div", inside, class_="scroll", tabindex=0, role="region", aria_label=name)
