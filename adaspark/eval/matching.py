"""Rivals at equal cost: the share that a rule must keep to be as dense as another arm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from adaspark.eval.arms import Arm, Clip
from adaspark.eval.runner import Runner

_HALVINGS = 8


def attention_density(runner: Runner, clips: Sequence[Clip], arm: Arm) -> float:
    """Mean attention density of an arm over all questions of clips of one shape."""
    found = [o.density["attention"] for row in runner.run(clips, arm) for o in row]
    return sum(found) / len(found)


def matched(runner: Runner, clips: Sequence[Clip], arm: Arm, target: float) -> Arm:
    """`arm` with the `attn_keep` whose attention density on `clips` is nearest to `target`.

    The rule must keep a share of the candidates; the density grows with it, so the share is
    searched by halving. Few clips are enough: the density of such a rule hardly depends on them.
    """
    low, high = 0.0, 1.0
    nearest, miss = arm, float("inf")
    for _ in range(_HALVINGS):
        keep = (low + high) / 2
        tried = replace(arm, config=replace(arm.config, attn_keep=keep))
        density = attention_density(runner, clips, tried)
        if abs(density - target) < miss:
            nearest, miss = tried, abs(density - target)
        low, high = (keep, high) if density < target else (low, keep)
    return nearest
