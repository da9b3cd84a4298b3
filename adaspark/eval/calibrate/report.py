"""Points, tables, findings and pictures of `adaspark calibrate`, from its items alone."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence

from adaspark.eval.calibrate import layers_report as by_layer
from adaspark.eval.calibrate.frontier import cheapest, frontier
from adaspark.eval.calibrate.settings import Setting, best, settings
from adaspark.eval.harness.by_condition import Items
from adaspark.eval.harness.by_layer import said_left_out
from adaspark.eval.report.cells import Kind, written
from adaspark.eval.report.figure import Figure
from adaspark.eval.report.page import write_page
from adaspark.eval.report.results import Results
from adaspark.eval.report.stats import MARGIN
from adaspark.eval.report.tables import Columns, Row, Table
from adaspark.method.config import TopP, as_typed, one_number


def summarise(items: Items) -> list[Table]:
    """Every setting that answered all clips: the pairs, then thresholds by layer."""
    found = settings(items)
    pairs = [setting for setting in found if setting.is_pair]
    layered = [setting for setting in found if setting.is_searched]
    thirds = [s for s in found if not s.is_pair and not s.is_searched]
    tables = [
        _frontier(found),
        _table("Settings that were tried", pairs, "number"),
        _table("Thresholds by thirds of the layers that were tried", thirds, "text"),
        _table("Thresholds by layer that were tried", layered, "text"),
    ]
    return [table for table in tables if table.rows]


def _table(title: str, found: Sequence[Setting], thresholds: Kind) -> Table:
    """One row a setting; its thresholds are a number, or as they are typed (`text`)."""
    apart = any(setting.config.text_top_p is not None for setting in found)
    columns: Columns = {
        "cube": "text",
        "attn_top_p": thresholds,
        "ffn_top_p": thresholds,
        "importance": "text",
        **({"text_top_p": thresholds} if apart else {}),
        "FLOPs, share of dense": "percent",
        "attention density": "share",
        "FFN density": "share",
        "loss, nats": "number",
        "right answers": "percent",
        "change, points": "points",
        "worst family": "text",
        "its change, points": "points",
    }
    shown = as_typed if thresholds == "text" else one_number
    rows: list[Row] = []
    for setting in found:
        conditions, name, config = setting.conditions, setting.name, setting.config
        comparison = setting.comparison
        dials: Row = [setting.sides, shown(config.attn_top_p), shown(config.ffn_top_p)]
        dials = [*dials, config.ffn_importance]
        if apart:
            dials = [*dials, None if config.text_top_p is None else shown(config.text_top_p)]
        shares = [conditions.mean(name, figure) for figure in ("flops", "attention", "ffn")]
        scores: Row = [conditions.lost(name), comparison.treated, comparison.difference]
        worst: Row = [setting.worst, setting.changes[setting.worst]]
        rows.append([*dials, *shares, *scores, *worst])
    note = (
        "Loss: nats of logprob of the right answer that are lost against dense. 95 % intervals, "
        "bootstrapped by clip. Calibration scenes; few clips, many questions a clip."
    )
    return Table(title, columns, rows, note)


def _frontier(found: Sequence[Setting]) -> Table:
    """The frontier, cheapest first."""
    columns: Columns = {
        "setting": "text",
        "FLOPs, share of dense": "percent",
        "loss, nats": "number",
        "change, points": "points",
        "worst family": "text",
        "its change, points": "points",
    }
    rows: list[Row] = [
        [
            s.name,
            s.flops,
            s.conditions.lost(s.name),
            s.comparison.difference,
            s.worst,
            s.worst_change,
        ]
        for s in frontier(found)
    ]
    note = "No other setting that was tried is both cheaper and loses less. 95 % intervals."
    return Table("The frontier", columns, rows, note)


def draw(results: Results) -> None:
    """Write tables, pictures and the page of saved items."""
    items, budgets = results.items, results.data.get("budgets", [])
    found = [setting for setting in settings(items) if setting.is_pair]
    figures = [_figure(found, budgets), *by_layer.figures(items, budgets)] if found else []
    results.save(summarise(items), figures)
    write_page(
        results,
        title="Thresholds for a budget of FLOPs",
        seen=[
            *(sentence for budget in budgets for sentence in findings(found, budget)),
            _said_cheapest(settings(items)),
            *by_layer.findings(items, budgets),
        ],
        failed=[
            *(sentence for budget in budgets for sentence in failures(found, budget)),
            *by_layer.failures(items, budgets),
            *said_left_out(results.data),
        ],
    )


def findings(found: Sequence[Setting], budget: float) -> Iterator[str]:
    """What the best setting within a budget reaches."""
    setting = best(found, budget)
    if setting is None:
        return
    config, comparison = setting.config, setting.comparison
    own, by = config.text_top_p, config.ffn_importance
    words = "" if own is None else f", text_top_p {as_typed(own)}"
    words += "" if by == "residual" else f", importance by the FFN's {by}"
    yield (
        f"Within {written(budget, 'percent')} of the dense FLOPs: cube {setting.sides}, "
        f"attn_top_p {as_typed(config.attn_top_p)}, ffn_top_p {as_typed(config.ffn_top_p)}"
        f"{words}. "
        f"It spends {written(setting.flops, 'percent')} and loses "
        f"{written(setting.loss, 'number')} nats; "
        f"{written(comparison.treated, 'percent')} right answers, dense "
        f"{written(comparison.baseline, 'percent')}. {comparison.sentence} {setting.worst} "
        f"changes worst ({written(setting.changes[setting.worst], 'points')} points)."
    )


def _said_cheapest(found: Sequence[Setting]) -> str:
    """What could be the default."""
    setting = cheapest(found)
    if setting is None:
        return "At no setting that was tried is every family within a point of dense."
    return (
        f"Cheapest with every family within a point of dense: {setting.name}, "
        f"{written(setting.flops, 'percent')} of the dense FLOPs; {setting.worst} changes worst, "
        f"{written(setting.worst_change, 'points')} points."
    )


def failures(found: Sequence[Setting], budget: float) -> Iterator[str]:
    """Budgets that no setting meets, and what is lost within a budget."""
    share, setting = written(budget, "percent"), best(found, budget)
    if setting is None:
        yield f"No setting that was tried stays within {share} of the dense FLOPs."
        return
    if not setting.keeps:
        yield f"Within {share} no setting keeps the score within a point of dense."
    asked = Counter(setting.conditions.families(setting.name))
    below = [
        f"{family} {written(change, 'points')} ({asked[family]} questions)"
        for family, change in setting.changes.items()
        if change < -MARGIN
    ]
    if below:
        yield f"Within {share}, families more than a point below dense: {'; '.join(below)}."


def _figure(found: Sequence[Setting], budgets: Sequence[float]) -> Figure:
    """Loss by `ffn_top_p`, a line for each budget and cube; a setting belongs to the least budget
    that it meets. Of several importances or text_top_p those of the first budget's best are drawn,
    and its cube alone where there are more lines than can be told apart.
    """
    from adaspark.eval.report import charts

    first = (best(found, budgets[0]) if budgets else None) or found[0]
    found = [setting for setting in found if _besides(setting) == _besides(first)]
    if len({setting.sides for setting in found}) * (len(budgets) + 1) > charts.MAX_SERIES:
        found = [setting for setting in found if setting.sides == first.sides]
    title = "How to spend a budget: what the FFN does not use, attention does"
    ps = sorted({one_number(setting.config.ffn_top_p) for setting in found})
    series: dict[str, list[tuple[float, ...]]] = {}
    for setting in found:
        budget = min((b for b in budgets if setting.flops <= b), default=None)
        share = "over budget" if budget is None else f"{100 * budget:g} %"
        name = f"{share}, {setting.sides}"
        line = series.setdefault(name, [(math.nan, math.nan, math.nan)] * len(ps))
        line[ps.index(one_number(setting.config.ffn_top_p))] = setting.conditions.lost(setting.name)
    picture = charts.lines(
        ps,
        dict(list(series.items())[: charts.MAX_SERIES]),
        title=title,
        xlabel="ffn_top_p",
        ylabel="nats lost against dense",
        note="Budget and cube beside each line. Small model, synthetic video.",
    )
    said = "; ".join(
        f"{setting.name}: {written(setting.flops, 'percent')} of FLOPs, "
        f"{written(setting.loss, 'number')} nats"
        for setting in found
    )
    return Figure("calibrate", picture, title, f"Settings (cube, both p): {said}.")


def _besides(setting: Setting) -> tuple[TopP | None, str]:
    """Its dials besides cube and both p of the paper."""
    return setting.config.text_top_p, setting.config.ffn_importance
