"""Tables, findings and pictures of `adaspark eval layers`, from its items alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from adaspark.eval.harness.by_layer import (
    Layers,
    apart,
    by_layer,
    few_clips,
    lengths_of,
    mean_of,
    over_layers,
    said_left_out,
    table_of,
)
from adaspark.eval.harness.recorded_rows import KINDS
from adaspark.eval.layers import adaptivity
from adaspark.eval.layers.adaptivity import ROWS
from adaspark.eval.report.cells import extremes, written
from adaspark.eval.report.figure import Figure
from adaspark.eval.report.page import write_page
from adaspark.eval.report.results import Results
from adaspark.eval.report.stats import Estimate
from adaspark.eval.report.tables import Columns, Row, Table
from adaspark.mini.questions.families import FAMILIES

Items = Sequence[dict[str, Any]]


def summarise(items: Items) -> list[Table]:
    """Kept shares by length, by layer and by family, and whether the choice is adaptive."""
    if not items:
        return []
    tables = [_by_length(items), adaptivity.table(items)]
    for length, mine in reversed(lengths_of(items).items()):
        tables += [_by_layer(length, mine), _by_family(length, mine)]
    return tables


def draw(results: Results) -> None:
    """Write tables, pictures and the page of saved items."""
    results.save(summarise(results.items), list(_figures(results.items)))
    write_page(
        results,
        title="What each layer keeps",
        paper="Fig. 4",
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
            cubes = _of_kind(mine, kind, "cubes")
            layers = by_layer(cubes)
            differ = "the layers differ" if apart(layers) else "no layer differs clearly"
            together = over_layers(_of_kind(mine, kind, "correlation"))
            yield (
                f"{length}: {kind} queries keep {written(over_layers(cubes), 'percent')} of their "
                f"candidate cubes, from {extremes(layers)} ({differ}). Within a layer, the kept "
                f"share goes with the router's entropy: correlation {written(together, 'share')}."
            )
        passed = by_layer([item["ffn"] for item in mine])
        flat = "" if apart(passed) else "; no layer differs clearly"
        yield f"{length}: of the video tokens, {extremes(passed)} pass through the FFN{flat}."
        yield f"{length}: {_said_families(mine)}"
        yield from adaptivity.seen(length, mine)


def failures(items: Items) -> Iterator[str]:
    """Lengths at which questions about a whole clip do not keep more than those about an object."""
    for length, mine in reversed(lengths_of(items).items()):
        yield from adaptivity.failed(length, mine)


def _said_families(items: Items) -> str:
    """The families that keep least and most in the row that decides the answer."""
    kept = {family: _of_family(items, family, "last") for family in FAMILIES}
    found = {family: over_layers(shares) for family, shares in kept.items() if shares}
    low = min(found, key=lambda family: found[family].value)
    high = max(found, key=lambda family: found[family].value)
    differ = "the families differ" if apart(list(found.values())) else "no family differs clearly"
    return (
        f"{ROWS['last']} keeps from {written(found[low], 'percent')} of the cubes for {low} to "
        f"{written(found[high], 'percent')} for {high} questions ({differ})."
    )


def _of_kind(items: Items, kind: str, what: str) -> list[Layers]:
    return [item["kinds"][kind][what] for item in items]


def _of_family(items: Items, family: str, rows: str) -> list[Layers]:
    asked = (question for item in items for question in item["questions"])
    return [question[rows] for question in asked if question["family"] == family]


def _by_length(items: Items) -> Table:
    columns: Columns = {
        "clips": "text",
        "query": "text",
        "number": "count",
        "kept cubes": "percent",
        "read video tokens": "percent",
        "CV over layers": "share",
        "entropy": "share",
        "correlation": "share",
    }
    rows: list[Row] = []
    for length, mine in lengths_of(items).items():
        for kind in KINDS:
            cubes = table_of(_of_kind(mine, kind, "cubes"))
            varied = mean_of(np.nanstd(cubes, axis=1) / np.nanmean(cubes, axis=1))
            others = [over_layers(_of_kind(mine, kind, n)) for n in ("entropy", "correlation")]
            kept = [over_layers(_of_kind(mine, kind, n)) for n in ("cubes", "tokens")]
            rows.append([length, kind, len(mine), *kept, varied, *others])
    note = (
        "Means over layers, heads and queries. Kept cubes: of the candidates, which leave out a "
        "query's own cube; read video tokens: of those that it may see, own cube included. Entropy "
        "of the router's weights, normalised; correlation: of entropy and kept cubes among the "
        "queries and heads of a layer. Under top-p a flat router must keep many cubes, so these go "
        "together by construction; the figure says how closely."
    )
    return Table("Kept cubes by kind of query (S)", columns, rows, note)


def _by_layer(length: str, items: Items) -> Table:
    columns: Columns = {"layer": "text"}
    cells: list[list[Estimate]] = []
    for kind in KINDS:
        columns |= {f"{kind}: cubes": "percent", f"{kind}: CV": "share"}
        columns[f"{kind}: entropy"] = "share"
        cells += [by_layer(_of_kind(items, kind, what)) for what in ("cubes", "cv", "entropy")]
    columns["FFN: video tokens"] = "percent"
    cells.append(by_layer([item["ffn"] for item in items]))
    rows: list[Row] = [
        [str(layer), *column] for layer, column in enumerate(zip(*cells, strict=True))
    ]
    note = "CV: standard deviation over mean of the kept share among a clip's queries and heads."
    return Table(f"Kept cubes and tokens by layer, clips {length} (S)", columns, rows, note)


def _by_family(length: str, items: Items) -> Table:
    columns: Columns = {"family": "text", "questions": "count"}
    columns |= dict.fromkeys(ROWS.values(), "percent")
    rows: list[Row] = []
    for family in FAMILIES:
        kept = [_of_family(items, family, name) for name in ROWS]
        if kept[0]:
            rows.append([family, len(kept[0]), *(over_layers(each) for each in kept)])
    note = "Of the candidate cubes, mean over layers and heads. Video precedes the question: what "
    note += "its queries keep does not depend on the family."
    return Table(f"Kept cubes by family, clips {length} (S)", columns, rows, note)


def _figures(items: Items) -> Iterator[Figure]:
    """Pictures of the longest clips."""
    from adaspark.eval.report import charts

    if not items:
        return
    length, mine = list(lengths_of(items).items())[-1]
    series = {kind: by_layer(_of_kind(mine, kind, "cubes")) for kind in KINDS}
    series["FFN"] = by_layer([item["ffn"] for item in mine])
    title = f"Kept by layer, {length} (S)"
    picture = charts.lines(
        range(len(series["FFN"])), series, title=title, xlabel="layer", ylabel="kept share",
        limits=(0.0, 1.0), percent=True,
        note=f"Candidate cubes of video, question and answer queries; video tokens of the FFN. "
        f"{len(mine)} clips.",
    )  # fmt: skip
    alt = "; ".join(f"{name}: {extremes(values)}" for name, values in series.items())
    yield Figure("layers_kinds", picture, title, alt + ".")
    panels = {}
    for family in FAMILIES:
        kept = {rows: _of_family(mine, family, rows) for rows in ("question", "answer")}
        if kept["question"]:
            panels[family] = {rows: by_layer(each) for rows, each in kept.items()}
    title = f"Kept cubes by layer and family, {length} (S)"
    picture = charts.layer_grid(panels, title=title, ylabel="kept cubes")
    means = [f"{name} {extremes(panel['question'])}" for name, panel in panels.items()]
    yield Figure("layers_families", picture, title, f"Question rows: {'; '.join(means)}.")
    shown = ("needle", "aggregate", "absent")
    lines = {family: by_layer(_of_family(mine, family, "last")) for family in shown}
    title = f"Kept cubes where the answer is decided, {length} (S)"
    picture = charts.lines(
        range(len(series["FFN"])), lines, title=title, xlabel="layer", ylabel="kept cubes",
        percent=True, note="The row that gives the answer's first token: one object, the most "
        "common, one that is not there.",
    )  # fmt: skip
    alt = "; ".join(f"{name}: {extremes(values)}" for name, values in lines.items())
    yield Figure("layers_adaptivity", picture, title, alt + ".")
