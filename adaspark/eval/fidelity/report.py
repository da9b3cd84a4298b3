"""Findings and pictures of `adaspark eval fidelity`: every sentence follows from the items."""

from __future__ import annotations

from collections.abc import Iterator

from adaspark.eval.fidelity.recall import RUNS
from adaspark.eval.fidelity.tables import (
    BASELINES,
    CHOICES,
    Items,
    ahead,
    answer,
    caught,
    conditions_of,
    gained,
    own_p,
    ps_of,
    realised,
    skipped,
    summarise,
)
from adaspark.eval.harness.by_layer import (
    by_layer,
    few_clips,
    layer_names,
    lengths_of,
    mean_of,
    over_layers,
    said_left_out,
)
from adaspark.eval.harness.recorded_rows import KINDS
from adaspark.eval.report.cells import extremes, written
from adaspark.eval.report.figure import Figure
from adaspark.eval.report.page import write_page
from adaspark.eval.report.results import Results
from adaspark.eval.report.stats import Estimate

__all__ = ["draw", "failures", "findings", "summarise"]


def draw(results: Results) -> None:
    """Write tables, pictures and the page of saved items."""
    results.save(summarise(results.items), list(_figures(results.items)))
    write_page(
        results,
        title="How near the sparse computation stays to the dense one",
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
            yield f"{length}, {kind} queries: {_said_recall(mine, kind)}"
            better = [r for r in BASELINES if r != RUNS and _lead(mine, kind, r).low > 0]
            if better:
                yield (
                    f"{length}, {kind} queries: at equal density top-p catches more than "
                    f"{_listed(mine, kind, better)}."
                )
            if _lead(mine, kind, RUNS).low > 0:
                yield f"{length}, {kind} queries: cubes beat 1-D runs, {_said_runs(mine, kind)}."
        yield f"{length}: {_said_answers(mine)}"
        ahead_in = [layer for layer, gap in enumerate(gained(mine)) if gap.low > 0]
        if ahead_in:
            yield (
                f"{length}: in {layer_names(ahead_in)} the mean errs less than bypass. Of the "
                f"branch's output it misses {extremes(skipped(mine, 'branch'))}; bypass misses all."
            )


def failures(items: Items) -> Iterator[str]:
    """Baselines that are not beaten, promises that are not kept."""
    for length, mine in reversed(lengths_of(items).items()):
        for kind in KINDS:
            leads = {name: _lead(mine, kind, name) for name in BASELINES if name != RUNS}
            level = [name for name, lead in leads.items() if lead.low <= 0 <= lead.high]
            behind = [name for name, lead in leads.items() if lead.high < 0]
            for baselines, said in (
                (behind, "less than"),
                (level, "as much as, not clearly more than"),
            ):
                if baselines:
                    yield (
                        f"{length}, {kind} queries: at equal density top-p catches {said} "
                        f"{_listed(mine, kind, baselines)}."
                    )
            runs = _lead(mine, kind, RUNS)
            if runs.low <= 0:
                said = (
                    "1-D runs beat cubes" if runs.high < 0 else "cubes do not clearly beat 1-D runs"
                )
                yield f"{length}, {kind} queries: {said}, {_said_runs(mine, kind)}."
            p = own_p(mine)
            kept = realised(mine, kind, p)
            if kept.high < float(p):
                yield (
                    f"{length}, {kind} queries: the router promises {_share(p)} of the mass and "
                    f"delivers {written(kept, 'percent')}."
                )
        gains = gained(mine)
        level_in = [i for i, gap in enumerate(gains) if gap.low <= 0]
        if level_in:
            yield (
                f"{length}: in {layer_names(level_in)} the mean is not shown to err less than "
                f"bypass; its lead is {extremes(gains, 'points')} points."
            )


def _lead(items: Items, kind: str, baseline: str) -> Estimate:
    return ahead(items, kind, own_p(items), baseline)


def _said_recall(items: Items, kind: str) -> str:
    p = own_p(items)
    read, mean, low, best = (
        mean_of(caught(items, kind, p, rule, what))
        for rule, what in (
            ("top-p", "density"), ("top-p", "mean"), ("top-p", "low"), ("oracle", "mean"),
        )
    )  # fmt: skip
    ranks = over_layers([item["attention"][kind]["ranks"] for item in items])
    return (
        f"reading {written(read, 'percent')} of the video, top-p catches "
        f"{written(mean, 'percent')} of the dense attention to it, {written(low, 'percent')} at "
        f"the 5th percentile; as many of the best cubes catch {written(best, 'percent')}. The "
        f"router's ranks correlate with the truth at {written(ranks, 'share')}."
    )


def _said_runs(items: Items, kind: str) -> str:
    lead = written(_lead(items, kind, RUNS), "points")
    return f"cubes lead by {lead} points of recall at equal density"


def _said_answers(items: Items) -> str:
    parts = [
        f"{condition} {written(answer(items, condition, 'kl'), 'number')} nats and "
        f"{written(answer(items, condition, 'first'), 'percent')}"
        for condition in conditions_of(items)
    ]
    return f"divergence from dense answers, and first tokens that change: {'; '.join(parts)}."


def _listed(items: Items, kind: str, baselines: list[str]) -> str:
    leads = [f"{r} ({written(_lead(items, kind, r), 'points')} points)" for r in baselines]
    return ", ".join(leads)


def _share(p: str) -> str:
    return written(float(p), "percent")


def _figures(items: Items) -> Iterator[Figure]:
    """Pictures of the longest clips."""
    if not items:
        return
    length, mine = list(lengths_of(items).items())[-1]
    yield _recall_by_density(length, mine)
    yield _recall_by_layer(length, mine)
    yield _promises(length, mine)
    yield _ffn(length, mine)


def _recall_by_density(length: str, items: Items) -> Figure:
    from adaspark.eval.report import charts

    ps = ps_of(items)
    read = [mean_of(caught(items, "question", p, "top-p", "density")).value for p in ps]
    series = {rule: [mean_of(caught(items, "question", p, rule)) for p in ps] for rule in CHOICES}
    title = f"Recall of question queries at equal density, {length} (S)"
    picture = charts.lines(
        [100 * share for share in read], series, title=title, percent=True,
        xlabel="video tokens read, %", ylabel="dense attention caught", limits=(0.0, 1.0),
        note=f"Settings p = {', '.join(ps)}; {len(items)} clips.",
    )  # fmt: skip
    said = "; ".join(
        f"{rule} " + ", ".join(written(value.value, "percent") for value in values)
        for rule, values in series.items()
    )
    return Figure("fidelity_recall", picture, title, f"Lines by density: {said}.")


def _recall_by_layer(length: str, items: Items) -> Figure:
    from adaspark.eval.report import charts

    shown = ("top-p", "oracle", "uniform", RUNS)
    panels = {
        f"{kind} queries": {
            rule: by_layer([item["attention"][kind]["layers"][rule] for item in items])
            for rule in shown
        }
        for kind in KINDS
    }
    title = f"Recall by layer at equal density, p = {own_p(items)}, {length} (S)"
    picture = charts.layer_grid(panels, title=title, ylabel="attention caught")
    said = "; ".join(f"{kind}: top-p {extremes(p['top-p'])}" for kind, p in panels.items())
    return Figure("fidelity_layers", picture, title, said + ".")


def _promises(length: str, items: Items) -> Figure:
    from adaspark.eval.report import charts

    ps = ps_of(items)
    series = {kind: [realised(items, kind, p) for p in ps] for kind in KINDS}
    title = f"Does the router keep its promise? {length} (S)"
    picture = charts.lines(
        [100 * float(p) for p in ps], {**series, "promised": [float(p) for p in ps]},
        title=title, percent=True, xlabel="mass promised, %", ylabel="mass caught",
        note="Of the candidate cubes' dense attention, by kind of query.",
    )  # fmt: skip
    said = "; ".join(
        f"{kind} " + ", ".join(written(value.value, "percent") for value in values)
        for kind, values in series.items()
    )
    return Figure("fidelity_router", picture, title, f"At {', '.join(ps)} promised: {said}.")


def _ffn(length: str, items: Items) -> Figure:
    from adaspark.eval.report import charts

    series = {name: skipped(items, name) for name in ("mean", "bypass")}
    title = f"Error of skipped tokens, p = {own_p(items, 'ffn')}, {length} (S)"
    picture = charts.lines(
        range(len(series["mean"])), series, title=title, percent=True,
        xlabel="layer", ylabel="error, share of the block's output",
        note=f"Root mean square, on the dense run's states; {len(items)} clips.",
    )  # fmt: skip
    said = "; ".join(f"{name}: {extremes(values)}" for name, values in series.items())
    return Figure("fidelity_ffn", picture, title, said + ".")
