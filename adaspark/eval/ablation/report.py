"""Tables, findings and pictures of `adaspark eval ablation`, from its items alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from adaspark.eval.harness.by_condition import ALPHA, BASELINE, Conditions, Items
from adaspark.eval.report.cells import written
from adaspark.eval.report.figure import Figure
from adaspark.eval.report.page import write_page
from adaspark.eval.report.results import Results
from adaspark.eval.report.tables import Columns, Row, Table

ADASPARK, ATTENTION_ONLY, FFN_ONLY = "AdaSpark", "attention only", "FFN only"
HALVES = (BASELINE, ADASPARK, ATTENTION_ONLY, FFN_ONLY)
TOP_P, ORACLE = "top-p", "oracle"
RULES = {"top-k": "top_k", "uniform": "uniform", "random": "random", "recent": "recent"}
"""Baselines of top-p by name: their rule."""
MEAN, BYPASS = "mean", "bypass"
SHAPES, RUNS = ("cube", "frame", "tube"), "1-D run"
ALL_SHAPES = (*SHAPES, RUNS)


def at(kind: str, value: float) -> str:
    """Name of the condition of a kind at a threshold or at a number of tokens per cube."""
    return f"{kind} {value:g}"


@dataclass(frozen=True)
class Study:
    """Conditions that are compared: name by series and group, in the order of the picture.

    `groups` name the groups as they are shown.
    """

    name: str
    title: str
    conditions: Conditions
    series: Mapping[str, Mapping[str, str]]
    note: str = ""

    @cached_property
    def groups(self) -> list[str]:
        """Every group that some series has."""
        return list(dict.fromkeys(group for names in self.series.values() for group in names))

    @property
    def pairs(self) -> Iterator[tuple[str, str, str]]:
        """Series, group and condition's name."""
        for group in self.groups:
            for series, names in self.series.items():
                if group in names:
                    yield series, group, names[group]


def studies(items: Items) -> list[Study]:
    """Comparisons among the items, the halves first; what the budget left out is missing."""
    lengths = list(dict.fromkeys(item["key"][0] for item in items))
    found = []
    for length in lengths:
        conditions = Conditions.at(length, items)
        if all(half in conditions.by_condition for half in HALVES):
            halves = {name: {length: name} for name in HALVES}
            found.append(
                Study(f"halves_{length}", f"Either half alone, {length}", conditions, halves)
            )
        found += [study for study in _others(conditions) if study.series]
    return found


def _others(conditions: Conditions) -> Iterator[Study]:
    rules = {rule: _values(conditions, rule) for rule in (ORACLE, TOP_P, *RULES)}
    density = {
        p: f"density {conditions.mean(at(TOP_P, float(p)), 'attention'):.2f}" for p in rules[TOP_P]
    }
    yield Study(
        "rules",
        "Rules as dense as top-p, attention only",
        conditions,
        _present({rule: {density[p]: n for p, n in by.items()} for rule, by in rules.items()}),
        "Every rule's share is searched until it reads as much as top-p does; the oracle is top-p "
        "on the dense attention mass, which nobody knows without computing it.",
    )
    skipped = {name: _values(conditions, name) for name in (MEAN, BYPASS)}
    yield Study(
        "compensation",
        "Skipped tokens, FFN only",
        conditions,
        _present({name: {f"p {p}": n for p, n in by.items()} for name, by in skipped.items()}),
        "Moved by the mean of their cube's FFN outputs, or not at all.",
    )
    cubes, *others = (
        {f"{v} tokens": n for v, n in _values(conditions, s).items()} for s in ALL_SHAPES
    )
    shared = [group for names in others for group in names]
    compared = {group: name for group, name in cubes.items() if group in shared}
    yield Study(
        "shapes",
        "Shapes of equal volume",
        conditions,
        _present(dict(zip(ALL_SHAPES, (compared, *others), strict=True))),
        "AdaSpark with other cubes, attn_top_p searched until the attention is as dense. Runs "
        "follow the raster order; frames are parts of one slice, tubes one token high and wide.",
    )
    yield Study(
        "sizes",
        "Sizes of cubes",
        conditions,
        _present({ADASPARK: cubes}),
        "AdaSpark with other cubes, attn_top_p searched until the attention is as dense. A row's "
        "own cube is always read, so the largest stay denser.",
    )


def _values(conditions: Conditions, kind: str) -> dict[str, str]:
    """Name of each condition of a kind by its value, the smallest first."""
    found = {
        n.removeprefix(f"{kind} "): n for n in conditions.by_condition if n.startswith(f"{kind} ")
    }
    numbers = [value for value in found if value.replace(".", "", 1).isdecimal()]
    return {value: found[value] for value in sorted(numbers, key=float)}


def _present(series: Mapping[str, Mapping[str, str]]) -> dict[str, Mapping[str, str]]:
    return {name: names for name, names in series.items() if names}


def summarise(items: Items) -> list[Table]:
    """One table a study."""
    return [table(study) for study in studies(items)]


def table(study: Study) -> Table:
    """Every condition of a study against dense."""
    columns: Columns = {
        "": "text",
        "arm": "text",
        "questions": "count",
        "attention density": "share",
        "FFN density": "share",
        "FLOPs, share of dense": "percent",
        "right answers": "percent",
        "change, points": "points",
        "loss, nats": "number",
        "hit rate": "percent",
    }
    rows: list[Row] = []
    for series, group, name in study.pairs:
        conditions, comparison = study.conditions, study.conditions.compared(name)
        shares = [conditions.mean(name, figure) for figure in ("attention", "ffn", "flops")]
        loss = None if name == BASELINE else conditions.lost(name)
        scores: Row = [conditions.accuracy(name), comparison.difference, loss]
        rows.append([group, series, comparison.items, *shares, *scores, conditions.hit_rate(name)])
    note = (
        "Loss: nats of logprob of the right answer against dense. 95 % intervals, bootstrapped by "
        "clip, too narrow where clips are few; findings rest on a randomisation test. Hit rate: "
        "share of layers and heads in which the prompt's last row chose a cube of what is asked "
        f"about. {study.note}"
    )
    return Table(study.title, columns, rows, note.strip())


def draw(results: Results) -> None:
    """Write tables, pictures and the page of saved items."""
    found = studies(results.items)
    results.save(summarise(results.items), [figure for s in found for figure in _figures(s)])
    write_page(
        results,
        title="Ablation: halves, rules, shapes, sizes, compensation",
        paper="the ablations",
        seen=[sentence for study in found for sentence in findings(study)],
        failed=[sentence for study in found for sentence in failures(study)],
    )


def findings(study: Study) -> Iterator[str]:
    """What the numbers of one study show."""
    if study.name.startswith("halves"):
        for name in HALVES[1:]:
            yield f"{study.title}: {name}. {study.conditions.compared(name).sentence}"
    if study.name == "sizes":
        lost = {group: study.conditions.lost(name).value for _, group, name in study.pairs}
        least = min(lost, key=lost.__getitem__)
        listed = "; ".join(f"{g} {written(n, 'number')}" for g, n in lost.items())
        yield f"{study.title}: {least} a cube lose least. Nats lost: {listed}."
    for own, baseline, better, _ in _contests(study):
        if better:
            yield f"{study.title}: {own} loses less than {baseline} at {'; '.join(better)}."


def failures(study: Study) -> Iterator[str]:
    """Comparisons in which the method's own choice is not shown to be better."""
    for own, baseline, _, other in _contests(study):
        if other:
            where = "; ".join(other)
            yield f"{study.title}: {own} is not shown to lose less than {baseline} at {where}."
    if study.name.startswith("halves"):
        comparison = study.conditions.compared(ADASPARK)
        if comparison.verdict in ("worse", "undecided"):
            yield f"{study.title}: {ADASPARK} against dense. {comparison.sentence}"


def _contests(study: Study) -> Iterator[tuple[str, str, list[str], list[str]]]:
    """The method's own choice, a baseline, the groups in which the method loses less, and the
    others.

    Each group comes with how much more the baseline loses, in nats; a randomisation test by clip
    decides.
    """
    own = {"rules": TOP_P, "compensation": MEAN, "shapes": SHAPES[0]}.get(study.name)
    if own is None or own not in study.series:
        return
    for baseline in [name for name in study.series if name not in (own, ORACLE)]:
        better: list[str] = []
        other: list[str] = []
        for group, name in study.series[baseline].items():
            mine = study.series[own].get(group)
            if mine is not None:
                beyond = study.conditions.lost(name, mine)
                entry = f"{group} ({written(beyond, 'number')} nats)"
                sure = beyond.value > 0 and study.conditions.p_value(name, mine) < ALPHA
                (better if sure else other).append(entry)
        yield own, baseline, better, other


def _figures(study: Study) -> Iterator[Figure]:
    from adaspark.eval.report import charts

    if len(study.groups) > 1 or len(study.series) > 1:
        nothing = (float("nan"),) * 3
        accuracies = {
            series: [
                study.conditions.accuracy(names[g]) if g in names else nothing for g in study.groups
            ]
            for series, names in study.series.items()
        }
        picture = charts.bars_with_intervals(
            study.groups,
            accuracies,
            title=study.title,
            ylabel="right answers",
            note="Small model, synthetic video.",
        )
        yield Figure(f"ablation_{study.name}", picture, study.title, _alt(study, "right answers"))
    if study.name == "rules" and len(study.groups) > 1:
        yield _lost(study)


def _lost(study: Study) -> Figure:
    """Loss by density: more sensitive than answers."""
    from adaspark.eval.report import charts

    title = "What rules lose at equal density"
    densities = [study.conditions.mean(name, "attention") for name in study.series[TOP_P].values()]
    whole = {s: names for s, names in study.series.items() if len(names) == len(study.groups)}
    losses: dict[str, Sequence[Any]] = {
        series: [study.conditions.lost(name) for name in names.values()]
        for series, names in whole.items()
    }
    picture = charts.lines(
        densities,
        losses,
        title=title,
        xlabel="attention density",
        ylabel="nats lost against dense",
        note="Small model, synthetic video.",
    )
    return Figure("ablation_rules_lost", picture, title, _alt(study, "nats lost"))


def _alt(study: Study, what: str) -> str:
    def said(name: str) -> str:
        if what == "right answers":
            return written(study.conditions.accuracy(name).value, "percent")
        return written(study.conditions.lost(name).value, "number")

    listed = "; ".join(f"{group}, {series} {said(name)}" for series, group, name in study.pairs)
    return f"{study.title}, {what}: {listed}."
