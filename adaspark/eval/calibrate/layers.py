"""Thresholds by layer within a budget of FLOPs: a greedy search that starts from the best pair.

A round surveys some of the clips: what one threshold of one layer, moved a rung up or down its
ladder, changes in FLOPs and loss. Assumed to add up, these changes predict which move (a rung, or
an exchange of two) has the least loss within the budget. It answers all clips, and is kept only if
the measured loss falls and the measured FLOPs fit. No threshold moves twice in a round.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from adaspark.eval.calibrate.settings import Setting, improves, settings, spread
from adaspark.eval.harness.by_condition import Conditions, Items
from adaspark.eval.harness.conditions import Condition
from adaspark.eval.report.cells import written
from adaspark.method.config import AdaSparkConfig, as_typed

HALVES = ("attn_top_p", "ffn_top_p")
DOUBLINGS = 4
"""Rungs of `attn_top_p` on either side of its starting value."""
MIN_MISSED = 1 / 128
"""The missed mass, 1 - p, assumed for a start at p = 1, so that its ladder has rungs."""

Place = tuple[str, int]
"""A threshold: which half, and the layer."""
Ladders = Mapping[str, Sequence[float]]
"""By half, the values that its thresholds may take, rising."""
Ask = Callable[[Sequence[Condition], bool], Items]
"""Have conditions answer all clips, or (True) those of the survey, and give all items on those
clips.
"""


@dataclass(frozen=True)
class Move:
    """Thresholds that change together, and what that changes: share of dense FLOPs, nats lost."""

    to: Mapping[Place, float]
    flops: float = 0.0
    loss: float = 0.0

    def __add__(self, other: Move) -> Move:
        return Move({**self.to, **other.to}, self.flops + other.flops, self.loss + other.loss)

    def __str__(self) -> str:
        return ", ".join(f"{half} of layer {layer} {p:g}" for (half, layer), p in self.to.items())

    def touches(self, other: Move) -> bool:
        """Whether both change the same threshold."""
        return not self.to.keys().isdisjoint(other.to)

    def made(self, config: AdaSparkConfig) -> AdaSparkConfig:
        """A configuration with thresholds by layer after this move."""
        dials = config.to_dict()
        for (half, layer), p in self.to.items():
            dials[half][layer] = p
        return AdaSparkConfig.from_dict(dials)


def condition_of(config: AdaSparkConfig) -> Condition:
    """Named by its dials."""
    sides = "x".join(map(str, config.cube))
    words = "" if config.text_top_p is None else f" text {as_typed(config.text_top_p)}"
    by = "" if config.ffn_importance == "residual" else f" {config.ffn_importance}"
    ps = f"{as_typed(config.attn_top_p)} {as_typed(config.ffn_top_p)}"
    return Condition(f"{sides} {ps}{words}{by}", config)


def ladders(pair: AdaSparkConfig, ffn_ps: Sequence[float]) -> dict[str, list[float]]:
    """What the thresholds of a pair may become in a layer.

    A rung of `attn_top_p` doubles or halves the mass that may be missed, 1 - p, which makes the
    rungs alike in density; `ffn_top_p` is nearly its density and takes the values that were tried.
    """
    attn, ffn = (float(getattr(pair, half)) for half in HALVES)
    missed = (1 - attn) or MIN_MISSED
    rungs = [1 - missed * 2.0**k for k in range(-DOUBLINGS, DOUBLINGS + 1)]
    attn_ps = {attn, *(round(p, 3) for p in rungs if p >= 0)}
    tried = (float(as_typed(p)) for p in ffn_ps)  # as items keep them
    return {HALVES[0]: sorted(attn_ps), HALVES[1]: sorted({ffn, *tried})}


def steps(config: AdaSparkConfig, rungs: Ladders) -> Iterator[Move]:
    """Every threshold by layer moved a rung down, and a rung up, if there is one."""
    for half in HALVES:
        for layer, p in enumerate(getattr(config, half)):
            at = rungs[half].index(p)
            for other in (at - 1, at + 1):
                if 0 <= other < len(rungs[half]):
                    yield Move({(half, layer): rungs[half][other]})


def best_move(surveyed: Sequence[Move], room: float) -> Move | None:
    """The move, or exchange of two, of least loss for no more than `room` FLOPs; None if none
    promises to lose less.
    """
    exchanges = (a + b for a, b in combinations(surveyed, 2) if not a.touches(b))
    fitting = [m for m in (*surveyed, *exchanges) if m.flops <= room and m.loss < 0]
    return min(fitting, key=lambda move: move.loss, default=None)


@dataclass(frozen=True)
class Search:
    """One budget's search in a model of `layers` layers; `say` reports each move that is kept.

    All measurements are items, so a search that is run again takes the same steps and asks only
    what is missing. It ends when `ask` cannot answer all, as when a time budget is spent.
    """

    budget: float
    layers: int
    rungs: Ladders
    ask: Ask
    say: Callable[[str], None] = print

    def run(self, pair: Setting, rounds: int) -> Setting:
        """The best setting after at most `rounds` rounds; the pair if nothing improves on it."""
        current = pair
        for _ in range(rounds):
            found = self._round(current)
            if found.name == current.name:
                break
            current = found
        return current

    def _round(self, current: Setting) -> Setting:
        left = self._surveyed(current)
        while move := best_move(left, self.budget - current.flops):
            new = self._answered(condition_of(move.made(spread(current.config, self.layers))))
            if new is None:
                break
            left = [other for other in left if not other.touches(move)]
            if improves(new, current, self.budget):
                losses = " to ".join(written(s.loss, "number") for s in (current, new))
                self.say(f"Within {written(self.budget, 'percent')}: {move}; loss {losses} nats.")
                current = new
        return current

    def _surveyed(self, current: Setting) -> list[Move]:
        """All steps from a setting with what they change on the survey's clips."""
        config = spread(current.config, self.layers)
        conditions = {condition_of(step.made(config)): step for step in steps(config, self.rungs)}
        found = Conditions(self.ask(list(conditions), True))
        before = found.by_condition[current.name].keys()
        return [
            Move(
                step.to,
                found.mean(condition.name, "flops") - found.mean(current.name, "flops"),
                found.lost(condition.name, current.name).value,
            )
            for condition, step in conditions.items()
            if found.by_condition.get(condition.name, {}).keys() == before
        ]

    def _answered(self, condition: Condition) -> Setting | None:
        """A condition on all clips; None if they were not all answered."""
        found = settings(self.ask([condition], False))
        return next((setting for setting in found if setting.name == condition.name), None)
