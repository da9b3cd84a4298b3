"""`adaspark calibrate`: the thresholds that meet a budget of FLOPs at the least loss.

Beyond the paper, which leaves both p to be set by hand. A survey of two clips measures the density
at each p; for every `ffn_top_p`, arithmetic then gives the `attn_top_p` that spends the budget.
These pairs answer the same questions as dense; of those that keep the score within a point, the one
that loses the least logprob of right answers is recommended as the default. The scenes are held out
from every evaluation. With `per_layer` a greedy search goes on from each budget's pair to
thresholds by layer, and both answer as many clips again that neither was chosen on.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from adaspark.errors import UserError
from adaspark.eval.calibrate.layers import Search, condition_of, ladders
from adaspark.eval.calibrate.report import draw, summarise
from adaspark.eval.calibrate.settings import (
    UNSEEN,
    best_by_layer,
    chosen_pairs,
    chosen_points,
    points_by_layer,
    settings,
)
from adaspark.eval.harness.by_condition import Conditions, Items, answer, jobs
from adaspark.eval.harness.clip import Clip
from adaspark.eval.harness.clips import Length, busy_clips
from adaspark.eval.harness.conditions import DENSE_CONDITION, Condition
from adaspark.eval.harness.context import Context, option
from adaspark.eval.report.results import write
from adaspark.method.config import AdaSparkConfig, Cube, TopP
from adaspark.method.layout import CubeLayout
from adaspark.model.qwen import language_shape
from adaspark.trace.cost import flops

__all__ = ["Plan", "draw", "run", "summarise"]

OWN = "own"
FILE = "calibration.json"
SURVEY_PS = (0.98, 0.9, 0.75, 0.5, 0.2)
SURVEY_CLIPS = 2
AIM = 0.005
"""Settings aim this far below the budget: densities differ a little from clip to clip."""
_TEXT_TOKENS = 32  # of a prompt, about


@dataclass(frozen=True)
class Plan:
    """`clips` of one length, each asked up to `questions` questions of every family."""

    budget: tuple[float, ...] = option(
        (0.43,), "FLOPs of the language model's prefill, as shares of dense"
    )
    frames: int = option(148, "frames of a clip, at 4 a second")
    size: int = option(224, "pixels of a side, square")
    cubes: tuple[str, ...] = option((OWN,), "cubes to try as T,H,W; own is the model's")
    ffn_ps: tuple[float, ...] = option((0.25, 0.375, 0.5, 0.625, 0.75), "values of ffn_top_p")
    text_ps: tuple[str, ...] = option((OWN,), "values of text_top_p; own is the model's")
    clips: int = option(8, "clips that every setting answers")
    questions: int = option(4, "questions of each family a clip")
    per_layer: bool = option(False, "search thresholds by layer from each budget's pair")
    rounds: int = option(2, "rounds of the search by layer, at most")

    def __post_init__(self) -> None:
        if not all(0 < budget < 1 for budget in self.budget):
            raise UserError(f"A budget is a share of dense between 0 and 1; got {self.budget}.")
        if self.clips < SURVEY_CLIPS or self.questions < 1:
            raise UserError(f"Take {SURVEY_CLIPS} clips or more, and 1 question or more.")
        if self.rounds < 1:
            raise UserError(f"A search by layer takes 1 round or more; got {self.rounds}.")
        for p in self.ffn_ps:
            AdaSparkConfig(ffn_top_p=p)
        for cube in self.cubes:
            _cube(cube, AdaSparkConfig())
        for words in self.text_ps:
            _text_top_p(words, AdaSparkConfig())
        Length(self.frames, self.size)

    @property
    def length(self) -> Length:
        """The clips' length and size."""
        return Length(self.frames, self.size)

    @classmethod
    def quick(cls) -> Plan:
        """Shorter clips, fewer questions and settings."""
        ffn_ps = (0.25, 0.375, 0.5)
        return cls((0.5,), 64, 168, ffn_ps=ffn_ps, clips=6, questions=2, rounds=1)


def run(plan: Plan, context: Context) -> None:
    """Answer all clips densely and under every setting, and write the points of least loss.

    Raises UserError if a search by layer is asked for and the model has one layer.
    """
    layers = context.loaded.model.config.text_config.num_hidden_layers
    if plan.per_layer and layers < 2:
        raise UserError("This model has one layer: leave out --per-layer, the pair is its own.")
    both = _clips(plan, context)
    clips = both[: plan.clips]
    context.results.data["budgets"] = list(plan.budget)
    _search_pairs(plan, context, clips)
    points = chosen_points(context.results.items, plan.budget)
    if not points:
        context.say("No setting meets a budget: name a larger one.")
        return
    calibration = {
        "points": points,
        "model": context.loaded.name,
        "cube": points[0]["cube"],
        "setting": f"{plan.length}, {plan.clips} clips",
    }
    if plan.per_layer:
        _search_layers(plan, context, clips, layers)
        _answer_unseen(plan, context, both[plan.clips :])
        calibration["points_by_layer"] = points_by_layer(context.results.items, plan.budget, layers)
    text = json.dumps(calibration, indent=1)
    write(context.results.folder / FILE, text.encode() + b"\n")
    context.say(f"{context.results.folder / FILE}:\n{text}")


def _clips(plan: Plan, context: Context) -> list[Clip]:
    """The clips that settings are chosen on; for a search by layer, as many again behind them."""
    return busy_clips(
        plan.length,
        clips=plan.clips * (2 if plan.per_layer else 1),
        questions_a_family=plan.questions,
        seed=context.seed,
        purpose="calibration",
    )


def _search_pairs(plan: Plan, context: Context, clips: list[Clip]) -> None:
    """Survey a few of the clips, then answer all densely and with the pairs that spend a budget."""
    conditions, few = [DENSE_CONDITION], clips[:SURVEY_CLIPS]
    for cube, words in product(plan.cubes, plan.text_ps):
        text_top_p = _text_top_p(words, context.config)
        sides = _cube(cube, context.config)
        config = replace(context.config, cube=sides, text_top_p=text_top_p)
        surveyed = list(_survey(plan, config))
        answer_all(context, str(plan.length), few, surveyed)
        conditions += _settings(
            plan, context, config, surveyed, Conditions(_items_on(context, few))
        )
    answer_all(context, str(plan.length), clips, conditions)


def _search_layers(plan: Plan, context: Context, clips: list[Clip], layers: int) -> None:
    """Search thresholds by layer from each budget's pair; half the clips are the survey's."""
    few = clips[: max(SURVEY_CLIPS, len(clips) // 2)]

    def ask(conditions: Sequence[Condition], surveys: bool) -> Items:
        shown = few if surveys else clips
        answer_all(context, str(plan.length), shown, conditions, apart=surveys)
        return _items_on(context, shown)

    pairs = chosen_pairs(settings(context.results.items), plan.budget)
    for budget, pair in pairs.items():
        rungs = ladders(pair.config, plan.ffn_ps)
        Search(budget, layers, rungs, ask, context.say).run(pair, plan.rounds)


def _answer_unseen(plan: Plan, context: Context, clips: list[Clip]) -> None:
    """Ask dense, the pairs and what was found better by layer on clips of their own."""
    found = settings(context.results.items)
    conditions = {DENSE_CONDITION.name: DENSE_CONDITION}
    for budget, pair in chosen_pairs(found, plan.budget).items():
        better = best_by_layer(found, pair, budget)
        if better is not pair:
            conditions |= {setting.name: condition_of(setting.config) for setting in (pair, better)}
    if len(conditions) > 1:
        answer_all(context, UNSEEN, clips, list(conditions.values()))


def _items_on(context: Context, clips: Sequence[Clip]) -> Items:
    seeds = {clip.seed for clip in clips}
    return [item for item in context.results.items if item["key"][2] in seeds]


def answer_all(
    context: Context,
    length: str,
    clips: Sequence[Clip],
    conditions: Sequence[Condition],
    *,
    apart: bool = False,
) -> None:
    """Batch by batch, so that a clip's features serve all conditions, as long as the budget lasts.

    The budget may end between batches, and between conditions if each is of use alone (`apart`).
    """
    has = context.results.has
    left = [
        clip
        for clip in clips
        if not all(has(length, condition.name, clip.seed) for condition in conditions)
    ]
    parts = [[condition] for condition in conditions] if apart else [conditions]
    todo = [(batch, part) for _, batch in jobs(context, length, left) for part in parts]
    for batch, part in context.in_time(todo, name=lambda _: length):
        answer(context, length, batch, part)


def _survey(plan: Plan, config: AdaSparkConfig) -> Iterator[Condition]:
    """Every `ffn_top_p` and every `attn_top_p` of the survey at least once, in the fewest settings:
    the more one half drops, the less the other does.
    """
    count = max(len(plan.ffn_ps), len(SURVEY_PS))
    surveyed = zip(_spread(sorted(plan.ffn_ps), count), _spread(SURVEY_PS, count), strict=True)
    for ffn, attention in surveyed:
        yield condition_of(replace(config, attn_top_p=attention, ffn_top_p=ffn))


def _spread(values: Sequence[float], count: int) -> list[float]:
    """`count` of the values, evenly, each once or more."""
    return [values[index * len(values) // count] for index in range(count)]


def _settings(
    plan: Plan,
    context: Context,
    config: AdaSparkConfig,
    surveyed: list[Condition],
    found: Conditions,
) -> list[Condition]:
    """For each budget and `ffn_top_p`, the `attn_top_p` that spends it, if there is one,
    interpolated from what the survey `found`.
    """
    if any(condition.name not in found.by_condition for condition in surveyed):
        return []
    known = sorted(
        (found.mean(condition.name, "attention"), condition.config.attn_top_p)
        for condition in surveyed
    )
    densities, ps = zip(*known, strict=True)
    settings: dict[str, Condition] = {}
    by_ffn = {condition.config.ffn_top_p: condition for condition in surveyed}
    for budget in plan.budget:
        for condition in by_ffn.values():
            ffn = found.mean(condition.name, "ffn")
            density = attention_left(plan, context, config.cube, budget=budget - AIM, ffn=ffn)
            if density >= densities[0]:
                p = float(np.interp(density, [*densities, 1.0], [*ps, 1.0]))
                setting = condition_of(replace(condition.config, attn_top_p=round(p, 3)))
                settings[setting.name] = setting
    return list(settings.values())


def attention_left(plan: Plan, context: Context, cube: Cube, *, budget: float, ffn: float) -> float:
    """The attention density at which an FFN density of `ffn` spends `budget`: FLOPs are linear in
    both. Below 0 if no density does; above 1 if full attention fits.
    """
    shape = language_shape(context.runner.model.config.text_config)
    side = plan.size // 28
    cubes = CubeLayout([(plan.frames // 2, side, side)], cube).cubes
    counts = {"video_tokens": plan.length.tokens, "text_tokens": _TEXT_TOKENS, "cubes": cubes}
    least, most = (flops(shape, ffn_density=ffn, attention_density=d, **counts) for d in (0.0, 1.0))
    left = budget * least.dense.total - least.sparse.total
    return left / (most.sparse.total - least.sparse.total)


def _text_top_p(text: str, config: AdaSparkConfig) -> TopP | None:
    if text == OWN:
        return config.text_top_p
    try:
        return AdaSparkConfig(text_top_p=float(text)).text_top_p
    except ValueError as error:
        raise UserError(f"text_ps are numbers from 0 to 1, or {OWN}; got {text!r}.") from error


def _cube(text: str, config: AdaSparkConfig) -> Cube:
    if text == OWN:
        return config.cube
    try:
        sides = [int(side) for side in text.split(",")]
    except ValueError:
        sides = []
    return AdaSparkConfig(cube=tuple(sides)).cube  # type: ignore[arg-type]
