"""Tables of `adaspark eval fidelity`, from its items alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adaspark.eval.fidelity.recall import RULES, RUNS
from adaspark.eval.harness.by_layer import by_layer, lengths_of, mean_of, over_layers, table_of
from adaspark.eval.harness.recorded_rows import KINDS
from adaspark.eval.report.stats import Estimate, bootstrap_mean
from adaspark.eval.report.tables import Columns, Row, Table

Items = Sequence[dict[str, Any]]
Floats = NDArray[np.float64]

CHOICES = (*RULES, RUNS)
BASELINES = tuple(name for name in CHOICES if name not in ("top-p", "oracle"))


def summarise(items: Items) -> list[Table]:
    """Recall, cubes against runs, the router, answers and the FFN: length by length."""
    if not items:
        return []
    tables = [_answers(items), _shapes(items)]
    for length, mine in reversed(lengths_of(items).items()):
        tables += [_recall(length, mine), _router(length, mine), _layers(length, mine)]
        tables.append(_ffn(length, mine))
    return tables


def ps_of(items: Items) -> list[str]:
    """Every p of the attention's choices, ascending."""
    return sorted(items[0]["attention"]["question"]["recall"], key=float)


def own_p(items: Items, half: str = "attention") -> str:
    """The configuration's own p."""
    return str(items[0]["own"][half])


def caught(items: Items, kind: str, p: str, rule: str, what: str = "mean") -> Floats:
    """Of each clip: `density`, `mean` recall or its 5th percentile `low`."""
    found = [item["attention"][kind]["recall"][p][rule][what] for item in items]
    return np.array(found, np.float64)


def ahead(items: Items, kind: str, p: str, baseline: str) -> Estimate:
    """Recall of top-p less a baseline's on the same rows, paired by clip."""
    return mean_of(caught(items, kind, p, "top-p") - caught(items, kind, p, baseline))


def realised(items: Items, kind: str, p: str) -> Estimate:
    """Share of the true mass that top-p covers when its router promises p."""
    return over_layers([item["attention"][kind]["realised"][p] for item in items])


def skipped(items: Items, what: str, p: str | None = None) -> list[Estimate]:
    """Figures of the FFN by layer: `passed`, `branch`, `mean`, `bypass`."""
    return by_layer(_skipped(items, what, p or own_p(items, "ffn")).tolist())


def gained(items: Items) -> list[Estimate]:
    """Error of bypass less that of the mean, by layer, paired by clip."""
    own = own_p(items, "ffn")
    return by_layer((_skipped(items, "bypass", own) - _skipped(items, "mean", own)).tolist())


def answer(items: Items, condition: str, what: str) -> Estimate:
    """Mean over questions of `kl`, `first`, `any` or `lost`, bootstrapped by clip."""
    found = [
        (item["key"][1], q["arms"][condition][what]) for item in items for q in item["questions"]
    ]
    return bootstrap_mean([float(value) for _, value in found], [clip for clip, _ in found])


def conditions_of(items: Items) -> list[str]:
    """Names of the sparse conditions."""
    return next((list(q["arms"]) for item in items for q in item["questions"]), [])


def _skipped(items: Items, what: str, p: str) -> Floats:
    return table_of([item["ffn"][p][what] for item in items])


def _answers(items: Items) -> Table:
    columns: Columns = {
        "clips": "text",
        "arm": "text",
        "questions": "count",
        "KL, nats": "number",
        "first token flips": "percent",
        "any token flips": "percent",
        "loss of log probability, nats": "number",
    }
    rows: list[Row] = [
        [
            length,
            condition,
            sum(len(item["questions"]) for item in mine),
            *(answer(mine, condition, what) for what in ("kl", "first", "any", "lost")),
        ]
        for length, mine in lengths_of(items).items()
        for condition in conditions_of(mine)
    ]
    note = (
        "Distributions over the vocabulary under the expected answer, dense against sparse: KL is "
        "the mean over its tokens, its end included; a flip is another first choice; the loss is "
        "that of the whole expected answer."
    )
    return Table("Answers: how far from dense (S)", columns, rows, note)


def _shapes(items: Items) -> Table:
    columns: Columns = {"clips": "text", "query": "text", "p": "text"}
    columns |= {"density, cubes": "share", "density, runs": "share"}
    columns |= {"cubes": "percent", "runs": "percent", "difference, points": "points"}
    rows: list[Row] = []
    for length, mine in lengths_of(items).items():
        for kind in KINDS:
            for p in ps_of(mine):
                pair = [
                    mean_of(caught(mine, kind, p, rule, what))
                    for what in ("density", "mean")
                    for rule in ("top-p", RUNS)
                ]
                dense = [estimate.value for estimate in pair[:2]]
                rows.append([length, kind, p, *dense, *pair[2:], ahead(mine, kind, p, RUNS)])
    note = (
        "Recall of the same router over cubes and over runs of as many tokens in raster order; in "
        "every row the runs read as many tokens as the cubes, or a few more. Paired by clip."
    )
    return Table("Cubes against 1-D runs of equal size (S)", columns, rows, note)


def _recall(length: str, items: Items) -> Table:
    columns: Columns = {"query": "text", "choice": "text", "density": "share"}
    columns |= {"recall": "percent", "5th percentile": "percent", "top-p ahead, points": "points"}
    p = own_p(items)
    rows: list[Row] = []
    for kind in KINDS:
        for rule in CHOICES:
            mean, low = (mean_of(caught(items, kind, p, rule, what)) for what in ("mean", "low"))
            density = mean_of(caught(items, kind, p, rule, "density")).value
            gap = None if rule == "top-p" else ahead(items, kind, p, rule)
            rows.append([kind, rule, density, mean, low, gap])
    note = (
        "Share of the dense attention to video that lies on what is read, own cube included, and "
        "the same for the worst twentieth of rows, heads and layers. All choose on the dense run's "
        "queries and keys; the rivals keep as many cubes of a clip as top-p or, by rounding up, a "
        "few more. The oracle keeps, row by row, as many as top-p, the best ones: a rival that "
        "spends its cubes on other rows may catch more."
    )
    return Table(f"Recall at equal density, p = {p}, clips {length} (S)", columns, rows, note)


def _router(length: str, items: Items) -> Table:
    columns: Columns = {"query": "text", "rank correlation": "share"}
    columns |= {f"promised {100 * float(p):g} %": "percent" for p in ps_of(items)}
    rows: list[Row] = [
        [
            kind,
            over_layers([item["attention"][kind]["ranks"] for item in items]),
            *(realised(items, kind, p) for p in ps_of(items)),
        ]
        for kind in KINDS
    ]
    note = (
        "Spearman's correlation of the router's weight and the true mass among a query's candidate "
        "cubes; and the share of their true mass that top-p catches, where its weights promise p."
    )
    return Table(f"The router, clips {length} (S)", columns, rows, note)


def _layers(length: str, items: Items) -> Table:
    columns: Columns = {"layer": "text"}
    cells: list[list[Estimate]] = []
    for kind in KINDS:
        for rule in ("top-p", "oracle"):
            columns[f"{kind}: {rule}"] = "percent"
            cells.append(by_layer([item["attention"][kind]["layers"][rule] for item in items]))
        columns[f"{kind}: ranks"] = "share"
        cells.append(by_layer([item["attention"][kind]["ranks"] for item in items]))
    rows: list[Row] = [
        [str(layer), *column] for layer, column in enumerate(zip(*cells, strict=True))
    ]
    title = f"Recall and rank correlation by layer, p = {own_p(items)}, clips {length} (S)"
    return Table(title, columns, rows)


def _ffn(length: str, items: Items) -> Table:
    columns: Columns = {
        "layer": "text",
        "tokens passed": "percent",
        "error of the branch, mean": "percent",
        "error of the block, mean": "percent",
        "error of the block, bypass": "percent",
        "mean ahead, points": "points",
    }
    cells = [skipped(items, what) for what in ("passed", "branch", "mean", "bypass")]
    cells.append(gained(items))
    rows: list[Row] = [
        [str(layer), *column] for layer, column in enumerate(zip(*cells, strict=True))
    ]
    note = (
        "Root mean square error of skipped video tokens, relative to FFN(x) (branch; bypass errs "
        "by 100 % there) and to x + FFN(x) (block), on the dense run's states."
    )
    p = own_p(items, "ffn")
    return Table(f"What skipping costs the FFN, p = {p}, clips {length} (S)", columns, rows, note)
