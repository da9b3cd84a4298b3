"""`adaspark calibrate`: the thresholds that meet a budget of FLOPs at the least loss.

Beyond the paper, which leaves both p to be set by hand. A survey of two clips measures the density
at each p; for every cube, text_top_p, importance and `ffn_top_p`, arithmetic then gives the
`attn_top_p` that spends the budget. All answer the same questions as dense; of the pairs that keep
the score within a point, the one that loses the least logprob of right answers is the budget's
point, and settings that none beats in both cost and loss are the frontier. The scenes are held out
from every evaluation. With `per_layer` a greedy search goes on from each budget's pair to
thresholds by layer, and both answer as many clips again that neither was chosen on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from adaspark.errors import UserError
from adaspark.eval.calibrate.candidates import OWN, THIRDS, Dials, spending, survey
from adaspark.eval.calibrate.frontier import frontier_points
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
from adaspark.figures_json import text_of
from adaspark.method.config import AdaSparkConfig
from adaspark.model.qwen import language_shape

__all__ = ["Plan", "draw", "run", "summarise"]

FILE = "calibration.json"
SURVEY_CLIPS = 2


@dataclass(frozen=True)
class Plan:
    """`clips` of one length, each asked up to `questions` questions of every family."""

    budget: tuple[float, ...] = option(
        (0.43,), "FLOPs of the language model's prefill, as shares of dense"
    )
    frames: int = option(148, "frames of a clip, at 4 a second")
    size: int = option(224, "pixels of a side, square")
    cubes: tuple[str, ...] = option((OWN,), "cubes to try as T,H,W; own is the model's")
    ffn_ps: tuple[str, ...] = option(
        ("0.25", "0.375", "0.5", "0.625", "0.75"), "values of ffn_top_p, P or by thirds P/P/P"
    )
    text_ps: tuple[str, ...] = option((OWN,), "values of text_top_p; own is the model's")
    importances: tuple[str, ...] = option((OWN,), "values of ffn_importance; own is the model's")
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
        self.dials.ffn_top_ps(THIRDS)
        list(self.dials.bases(AdaSparkConfig()))
        Length(self.frames, self.size)

    @property
    def dials(self) -> Dials:
        """What is tried."""
        return Dials(self.cubes, self.ffn_ps, self.text_ps, self.importances)

    @property
    def length(self) -> Length:
        """The clips' length and size."""
        return Length(self.frames, self.size)

    @classmethod
    def quick(cls) -> Plan:
        """Shorter clips, fewer questions and settings."""
        ffn_ps = ("0.25", "0.375", "0.5")
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
    points = chosen_points(context.results.items, plan.budget, context.config.cube)
    if not points:
        context.say("No setting meets a budget: name a larger one.")
        return
    calibration = {
        "points": points,
        "model": context.loaded.name,
        "cube": points[0]["cube"],
        "frontier": frontier_points(context.results.items),
        "setting": f"{plan.length}, {plan.clips} clips",
    }
    if plan.per_layer:
        _search_layers(plan, context, clips, layers)
        _answer_unseen(plan, context, both[plan.clips :])
        calibration["points_by_layer"] = points_by_layer(context.results.items, plan.budget, layers)
    text = text_of(calibration)
    write(context.results.folder / FILE, text.encode())
    context.say(f"{context.results.folder / FILE}:\n{text.rstrip()}")


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
    text_config = context.runner.model.config.text_config
    ffn_ps = plan.dials.ffn_top_ps(text_config.num_hidden_layers)
    shape = language_shape(text_config)
    for base in plan.dials.bases(context.config):
        surveyed = {config: condition_of(config) for config in survey(base, ffn_ps)}
        answer_all(context, str(plan.length), few, list(surveyed.values()))
        found = Conditions(_items_on(context, few))
        if all(condition.name in found.by_condition for condition in surveyed.values()):
            densities = {
                config: (found.mean(each.name, "attention"), found.mean(each.name, "ffn"))
                for config, each in surveyed.items()
            }
            spent = spending(plan.budget, densities, shape, plan.length)
            conditions += map(condition_of, spent)
    answer_all(context, str(plan.length), clips, conditions)


def _search_layers(plan: Plan, context: Context, clips: list[Clip], layers: int) -> None:
    """Search thresholds by layer from each budget's pair; half the clips are the survey's."""
    few = clips[: max(SURVEY_CLIPS, len(clips) // 2)]

    def ask(conditions: Sequence[Condition], surveys: bool) -> Items:
        shown = few if surveys else clips
        answer_all(context, str(plan.length), shown, conditions, apart=surveys)
        return _items_on(context, shown)

    numbers = [p for p in plan.dials.ffn_top_ps(layers) if isinstance(p, float)]
    pairs = chosen_pairs(settings(context.results.items), plan.budget)
    for budget, pair in pairs.items():
        rungs = ladders(pair.config, numbers)
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
