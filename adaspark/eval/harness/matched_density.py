"""Baselines at equal cost: the share or threshold at which a condition is as dense as another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace

from adaspark.eval.harness.clip import Clip
from adaspark.eval.harness.conditions import Condition
from adaspark.eval.harness.runner import Runner
from adaspark.method.config import AdaSparkConfig

_TRIES = 8
_CLOSE = 0.01
"""of the target: nearer needs no further try"""


def attention_density(
    runner: Runner, clips: Sequence[Clip], condition: Condition, rows: str = "attention"
) -> float:
    """Mean density of a condition over all questions of clips of one shape: of all rows, or of the
    `question`'s alone.
    """
    found = [o.density[rows] for row in runner.run(clips, condition) for o in row]
    return sum(found) / len(found)


def matched(
    runner: Runner, clips: Sequence[Clip], condition: Condition, target: float
) -> Condition:
    """`condition` with the share, or with top-p the threshold, that brings its attention density on
    `clips` nearest to `target`.

    Where text has a threshold of its own, a rule with a share is matched for it apart, at the
    density that the threshold gives the question.
    """
    config = condition.config
    if config.attn_rule == "top_p":
        return _searched(runner, clips, condition, "attn_top_p", target)
    if config.text_top_p is not None:
        own = replace(config, attn_rule="top_p", attn_keep=None, text_keep=None)
        words = attention_density(
            runner, clips, replace(condition, config=own, oracle=False), "question"
        )
        condition = _searched(runner, clips, condition, "text_keep", words, rows="question")
    return _searched(runner, clips, condition, "attn_keep", target)


def _searched(
    runner: Runner,
    clips: Sequence[Clip],
    condition: Condition,
    dial: str,
    target: float,
    *,
    rows: str = "attention",
) -> Condition:
    """`condition` with the value of `dial` that brings a density nearest to `target`.

    The density grows with either, from little at 0 to 1 at 1; the false position between the two is
    halved on the side that stays (the Illinois method). Few clips are enough: the density hardly
    depends on them. (`scipy.optimize` stops by the tolerance of the share, not of the density;
    every try answers all clips, so this stops as soon as the density is close.)
    """
    low, high = (0.0, -target), (1.0, 1.0 - target)
    nearest, miss = condition, float("inf")
    for _ in range(_TRIES):
        share = low[0] - low[1] * (high[0] - low[0]) / (high[1] - low[1])
        config = AdaSparkConfig.from_dict({**asdict(condition.config), dial: share})
        tried = replace(condition, config=config)
        error = attention_density(runner, clips, tried, rows) - target
        if abs(error) < miss:
            nearest, miss = tried, abs(error)
        if miss <= _CLOSE * target:
            break
        if error < 0:
            low, high = (share, error), (high[0], high[1] / 2)
        else:
            low, high = (low[0], low[1] / 2), (share, error)
    return nearest
