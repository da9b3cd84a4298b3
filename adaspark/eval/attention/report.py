"""Tables, findings and pictures of `adaspark eval attention`, from its items alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adaspark.eval.harness.by_layer import (
    apart,
    by_layer,
    few_clips,
    layer_names,
    lengths_of,
    over_layers,
    said_left_out,
    table_of,
)
from adaspark.eval.harness.recorded_rows import KINDS
from adaspark.eval.report.cells import extremes, written
from adaspark.eval.report.figure import Figure
from adaspark.eval.report.page import write_page
from adaspark.eval.report.results import Results
from adaspark.eval.report.stats import Estimate
from adaspark.eval.report.tables import Columns, Row, Table

Items = Sequence[dict[str, Any]]
Floats = NDArray[np.float64]

SHARES = ("0.5", "0.8", "0.9", "0.95")
"""Shares of a query's attention on video; the fewest tokens that hold each are counted."""
QUOTED = Table(
    "Quoted (Q): peers on the same question, with other models and another count",
    {"source": "text", "what": "text", "figure": "text"},
    [
        [
            "MMInference, ICML 2025, as public notes quote it",
            "attention weights that hold 95 % of the mass at 128K tokens, video-language models",
            "5.78 %",
        ]
    ],
    "Not measured here, and not of this model: the shape can be compared, the number cannot.",
)


def summarise(items: Items) -> list[Table]:
    """Concentration by length and by layer, the FFN's ratios by layer, and what peers report."""
    if not items:
        return []
    tables = [_by_length(items)]
    for length, mine in reversed(lengths_of(items).items()):
        tables += [_concentration(length, mine), _inertia(length, mine)]
    return [*tables, QUOTED]


def draw(results: Results) -> None:
    """Write tables, pictures and the page of saved items."""
    results.save(summarise(results.items), list(_figures(results.items)))
    write_page(
        results,
        title="Where attention lies, and what the FFN moves",
        paper="Fig. 1",
        seen=list(findings(results.items)),
        failed=[
            *failures(results.items),
            *few_clips(results.items),
            *said_left_out(results.data),
        ],
    )


def findings(items: Items) -> Iterator[str]:
    """What the numbers say, longest clips first."""
    for length, mine in reversed(lengths_of(items).items()):
        for kind in KINDS:
            held = [item["attention"][kind]["tokens"]["0.95"] for item in mine]
            layers = by_layer(held)
            differ = "the layers differ" if apart(layers) else "no layer differs clearly"
            yield (
                f"{length}: 95 % of the attention that {kind} queries pay to video lies on "
                f"{written(over_layers(held), 'percent')} of the video tokens they see, from "
                f"{extremes(layers)} ({differ}). Even attention would need 95 %."
            )
        ratios = _ratios(mine)
        steady = [layer for layer, ratio in enumerate(ratios) if ratio.low > 1]
        if steady:
            yield (
                f"{length}: in {layer_names(steady)} the FFN's norm ratio varies more among text "
                f"than among video tokens; F is {extremes(ratios, 'number')}."
            )
        spreads = _spreads(mine, "text") - _spreads(mine, "video")
        livelier = [layer for layer, gap in enumerate(by_layer(spreads.tolist())) if gap.low > 0]
        yield (
            f"{length}: measured against its mean, too, the ratio varies more among text in "
            f"{len(livelier)} of {spreads.shape[1]} layers."
        )


def failures(items: Items) -> Iterator[str]:
    """Lengths at which the paper's two observations do not show."""
    for length, mine in reversed(lengths_of(items).items()):
        for kind in KINDS:
            held = over_layers([item["attention"][kind]["tokens"]["0.95"] for item in mine])
            if held.high >= 0.5:
                yield (
                    f"{length}: attention of {kind} queries is not concentrated: 95 % of it takes "
                    f"{written(held, 'percent')} of the video tokens."
                )
        ratios = _ratios(mine)
        lively = [layer for layer, ratio in enumerate(ratios) if ratio.low <= 1]
        if lively:
            yield (
                f"{length}: in {layer_names(lively)} it is not shown that the FFN moves video "
                "tokens more steadily than text: the interval of F reaches 1 or less."
            )


def _ratios(items: Items) -> list[Estimate]:
    """Variance of the norm ratio among text over that among video, per layer: the geometric mean
    over clips, because a ratio and its inverse should count alike.
    """
    logs = np.log(_variances(items, "text")) - np.log(_variances(items, "video"))
    return [Estimate(*np.exp(estimate).tolist()) for estimate in by_layer(logs.tolist())]


def _by_length(items: Items) -> Table:
    columns: Columns = {"clips": "text", "query": "text", "number": "count"}
    columns |= {f"{100 * float(share):g} % of mass": "percent" for share in SHARES}
    rows: list[Row] = []
    for length, mine in lengths_of(items).items():
        for kind in KINDS:
            held = [item["attention"][kind]["tokens"] for item in mine]
            shares = [over_layers([tokens[share] for tokens in held]) for share in SHARES]
            rows.append([length, kind, len(mine), *shares])
    note = (
        "Fewest video tokens that hold so much of a query's attention on video, as a share of what "
        "it sees; mean over layers, heads, queries."
    )
    return Table("Video tokens that hold the attention, by length (S)", columns, rows, note)


def _concentration(length: str, items: Items) -> Table:
    columns: Columns = {"layer": "text"}
    for kind in KINDS:
        columns |= {f"{kind}: 50 %": "percent", f"{kind}: 95 %": "percent"}
        columns[f"{kind}: on video"] = "percent"
    cells: list[list[Estimate]] = []
    for kind in KINDS:
        held = [item["attention"][kind] for item in items]
        cells += [by_layer([each["tokens"][share] for each in held]) for share in ("0.5", "0.95")]
        cells.append(by_layer([each["on_video"] for each in held]))
    rows: list[Row] = [
        [str(layer), *column] for layer, column in enumerate(zip(*cells, strict=True))
    ]
    note = (
        "50 %, 95 %: video tokens that hold so much of the attention on video. On video: the share "
        "of all attention that lies there; the rest is on text."
    )
    return Table(f"Concentration by layer, clips {length} (S)", columns, rows, note)


def _inertia(length: str, items: Items) -> Table:
    columns: Columns = {"layer": "text"}
    cells: list[list[Any]] = []
    for kind in ("text", "video"):
        columns |= {
            f"{kind}: mean": "number",
            f"{kind}: variance": "number",
            f"{kind}: CV": "share",
        }
        cells.append(by_layer(_means(items, kind).tolist()))
        cells.append(list(_variances(items, kind).mean(0)))
        cells.append(list(_spreads(items, kind).mean(0)))
    columns["F, text / video"] = "number"
    cells.append(_ratios(items))
    rows: list[Row] = [
        [str(layer), *column] for layer, column in enumerate(zip(*cells, strict=True))
    ]
    note = (
        "|FFN(x)| / |x| of tokens within a clip, x the residual stream; text is the questions and "
        "answers with their template. CV is the standard deviation over the mean. F is the ratio "
        "of the variances, its geometric mean over clips."
    )
    return Table(f"What the FFN moves, clips {length} (S)", columns, rows, note)


def _figures(items: Items) -> Iterator[Figure]:
    """Pictures of the longest clips."""
    from adaspark.eval.report import charts

    if not items:
        return
    length, mine = list(lengths_of(items).items())[-1]
    for kind in ("question", "video"):
        shares = {
            float(share): by_layer([item["attention"][kind]["tokens"][share] for item in mine])
            for share in SHARES
        }
        title = f"Video tokens that hold a {kind} query's attention, {length} (S)"
        picture = charts.concentration(shares, title=title, note=f"Dense, {len(mine)} clips.")
        alt = f"Lines by layer; 95 % of mass: {extremes(shares[0.95])}."
        yield Figure(f"attention_{kind}", picture, title, alt)
    series = {
        kind: by_layer(np.sqrt(_variances(mine, kind)).tolist()) for kind in ("text", "video")
    }
    title = f"How unevenly the FFN moves text and video tokens, {length} (S)"
    picture = charts.lines(
        range(len(series["text"])), series, title=title, xlabel="layer", log_y=True,
        ylabel="standard deviation of |FFN(x)| / |x|", note=f"Dense, {len(mine)} clips.",
    )  # fmt: skip
    yield Figure("attention_ffn", picture, title, f"F is {extremes(_ratios(mine), 'number')}.")


def _means(items: Items, kind: str) -> Floats:
    return table_of([item["ffn"][kind]["mean"] for item in items])


def _variances(items: Items, kind: str) -> Floats:
    return table_of([item["ffn"][kind]["variance"] for item in items])


def _spreads(items: Items, kind: str) -> Floats:
    """Coefficients of variation [clips, L]: the standard deviation over the mean."""
    spreads: Floats = np.sqrt(_variances(items, kind)) / _means(items, kind)
    return spreads
