"""Findings and pictures of `adaspark calibrate --per-layer`, from its items alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from adaspark.eval.calibrate.settings import (
    UNSEEN,
    Setting,
    best_by_layer,
    chosen_pairs,
    settings,
    spread,
)
from adaspark.eval.harness.by_condition import Conditions, Items
from adaspark.eval.report.cells import written
from adaspark.eval.report.figure import Figure
from adaspark.method.config import as_typed

Chosen = tuple[float, Setting, Setting]
"""A budget, its pair, and what is best by layer: the pair again if nothing improves on it."""


def chosen(items: Items, budgets: Sequence[float]) -> list[Chosen]:
    """The result for each budget that a pair meets; empty if no thresholds by layer were tried."""
    found = settings(items)
    if not any(setting.is_searched for setting in found):
        return []
    pairs = chosen_pairs(found, budgets)
    return [(budget, pair, best_by_layer(found, pair, budget)) for budget, pair in pairs.items()]


def findings(items: Items, budgets: Sequence[float]) -> Iterator[str]:
    """What thresholds by layer gain over the pair, if they gain anything."""
    for budget, pair, setting in chosen(items, budgets):
        if setting is pair:
            continue
        attn, ffn = as_typed(setting.config.attn_top_p), as_typed(setting.config.ffn_top_p)
        loss, before = (written(s.loss, "number") for s in (setting, pair))
        yield (
            f"Within {written(budget, 'percent')}, by layer: --attn-top-p {attn} --ffn-top-p {ffn}."
            f" It spends {written(setting.flops, 'percent')} and loses {loss} nats, where the pair "
            f"spends {written(pair.flops, 'percent')} and loses {before}, on the clips that both "
            "were chosen on; "
            f"{written(setting.comparison.treated, 'percent')} right answers, the pair "
            f"{written(pair.comparison.treated, 'percent')}."
        )
        yield from _said_unseen(Conditions.at(UNSEEN, items), budget, pair, setting)


def failures(items: Items, budgets: Sequence[float]) -> Iterator[str]:
    """Budgets at which thresholds by layer gain nothing, or only on the clips of the search."""
    unseen = Conditions.at(UNSEEN, items)
    for budget, pair, setting in chosen(items, budgets):
        share = written(budget, "percent")
        if setting is pair:
            yield f"Within {share}, no thresholds by layer that were tried improve on the pair."
        elif setting.name not in unseen.by_condition:
            yield f"Within {share}, thresholds by layer met no clip but those they were chosen on."
        elif unseen.lost(setting.name, pair.name).value >= 0:
            yield (
                f"Within {share}, thresholds by layer lose no less than the pair on clips that "
                "neither was chosen on: what they gained does not carry over."
            )


def figures(items: Items, budgets: Sequence[float]) -> Iterator[Figure]:
    """Thresholds by layer, one picture for each budget that they gain in."""
    from adaspark.eval.report import charts

    for budget, pair, setting in chosen(items, budgets):
        if setting is pair:
            continue
        layers = setting.config.layers or 0
        series = {
            f"{half}{name}": getattr(spread(each.config, layers), half)
            for half in ("attn_top_p", "ffn_top_p")
            for name, each in (("", setting), (", pair", pair))
        }
        title = f"Thresholds by layer within {written(budget, 'percent')} of the dense FLOPs"
        picture = charts.lines(
            range(layers), series, title=title, xlabel="layer", ylabel="threshold",
            limits=(0.0, 1.02), note="Small model, synthetic video.",
        )  # fmt: skip
        listed = "; ".join(f"{name}: {as_typed(ps)}" for name, ps in series.items())
        yield Figure(f"calibrate_layers_{100 * budget:g}", picture, title, f"{listed}.")


def _said_unseen(
    unseen: Conditions, budget: float, pair: Setting, setting: Setting
) -> Iterator[str]:
    """The same two on clips that neither was chosen on, if those were answered."""
    if setting.name not in unseen.by_condition:
        return
    lost, before = (unseen.lost(s.name).value for s in (setting, pair))
    flops = unseen.mean(setting.name, "flops")
    clips = len(unseen.by_condition[setting.name])
    change = unseen.lost(setting.name, pair.name)
    yield (
        f"Within {written(budget, 'percent')}, on {clips} clips that "
        f"neither was chosen on: by layer {written(flops, 'percent')} of FLOPs and "
        f"{written(lost, 'number')} nats lost, the pair "
        f"{written(unseen.mean(pair.name, 'flops'), 'percent')} and {written(before, 'number')}; "
        f"the difference is {written(change, 'number')} nats."
    )
