"""Findings and pictures of `adaspark eval families`: every sentence follows from the items."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from adaspark.eval.families.tables import (
    TARGETS,
    Answers,
    accuracy,
    by_family,
    by_order,
    chance,
    mean,
    study,
    tables,
)
from adaspark.eval.harness.by_layer import said_left_out
from adaspark.eval.report.cells import written
from adaspark.eval.report.figure import Figure
from adaspark.eval.report.page import write_page
from adaspark.eval.report.results import Results


def draw(results: Results) -> None:
    """Write tables, pictures and the page of saved items."""
    studied = study(results.items)
    results.save(tables(studied), [*map(_bars, studied), *_by_length(studied)])
    write_page(
        results,
        title="Ten families of questions, dense and sparse",
        paper="the main tables",
        seen=[sentence for answers in reversed(studied) for sentence in findings(answers)],
        failed=[
            *(said for answers in reversed(studied) for said in failures(answers)),
            *said_left_out(results.data),
        ],
    )


def findings(answers: Answers) -> Iterator[str]:
    """What the numbers of one length say."""
    for condition in answers.compared:
        yield _overall(answers, condition)
        yield _worst(answers, condition)
    for control, listed in _controls(answers, better=False).items():
        yield f"{answers.title}, {control}, not shown to be better than luck: {listed}."


def failures(answers: Answers) -> Iterator[str]:
    """Targets missed, families that lose, and controls better than chance, at one length."""
    below = [
        f"{family} {_percent(found.value)} of {_percent(TARGETS[family])}"
        for family, found in answers.accuracies["dense"].items()
        if found.value < TARGETS[family]
    ]
    if below:
        yield f"{answers.title}: the dense model misses its target in {'; '.join(below)}."
    for condition, rows in answers.compared.items():
        for family, row in rows.items():
            if row.verdict == "worse" or row.difference.value < -row.margin:
                yield f"{answers.title}, {condition}, {family}. {row.sentence}"
    for control, listed in _controls(answers, better=True).items():
        yield (
            f"{answers.title}, {control}, better than luck, so that these questions give something "
            f"away: {listed}."
        )


def _overall(answers: Answers, condition: str) -> str:
    found = answers.compared[condition]
    verdicts: dict[str, list[str]] = {}
    for family in answers.families:
        verdicts.setdefault(found[family].verdict, []).append(family)
    listed = "; ".join(f"{verdict}: {', '.join(names)}" for verdict, names in verdicts.items())
    total = found["all"]
    flops, attention, ffn = (
        mean(answers.items, condition, n) for n in ("flops", "attention", "ffn")
    )
    return (
        f"{answers.title}: {condition} scores {_percent(total.treated)}, dense "
        f"{_percent(total.baseline)} on {total.items:,} questions. {total.sentence} The prefill "
        f"costs {_percent(flops)} of its dense FLOPs, at attention density "
        f"{written(attention, 'share')} and FFN density {written(ffn, 'share')}. By family, "
        f"{listed}."
    )


def _worst(answers: Answers, condition: str) -> str:
    right = {family: found.value for family, found in answers.accuracies[condition].items()}
    lost = {f: answers.compared[condition][f].difference.value for f in answers.families}
    lowest, most = min(right, key=right.__getitem__), min(lost, key=lost.__getitem__)
    against = (
        f"against dense, {most} loses most ({written(lost[most], 'points')} points)"
        if lost[most] < 0
        else "no family loses against dense"
    )
    return (
        f"{answers.title}: the worst family of {condition} is {lowest} "
        f"({_percent(right[lowest])}); {against}."
    )


def _controls(answers: Answers, *, better: bool) -> dict[str, str]:
    """By control: the families whose interval lies above chance (`better`), or the others."""
    listed: dict[str, list[str]] = {"grey pictures": [], "frames shuffled": []}
    for family, mine in by_family([item for item in answers.items if "blind" in item]).items():
        mixed = [item for item in mine if "shuffled" in item]
        found = {"grey pictures": (accuracy(mine, "blind"), chance(mine))}
        if mixed:
            found["frames shuffled"] = (accuracy(mixed, "shuffled"), by_order(mixed))
        for control, (right, chance_score) in found.items():
            if family != "absent" and (right.low > chance_score) == better:
                listed[control].append(
                    f"{family} {_percent(right.value)} (luck {_percent(chance_score)})"
                )
    return {control: ", ".join(families) for control, families in listed.items() if families}


def _bars(answers: Answers) -> Figure:
    from adaspark.eval.report import charts

    title = f"Right answers by family, {answers.title}"
    picture = charts.bars_with_intervals(
        list(answers.families),
        {condition: list(found.values()) for condition, found in answers.accuracies.items()},
        title=title,
        ylabel="right answers",
        chance=[chance(mine) for mine in answers.families.values()],
        note="Grounding: mIoU. Small model, synthetic video.",
    )
    said = "; ".join(
        f"{family} "
        + ", ".join(
            _percent(answers.accuracies[condition][family].value)
            for condition in answers.conditions
        )
        for family in answers.families
    )
    alt = f"Bars of {', '.join(answers.conditions)} by family: {said}."
    return Figure(f"families_{answers.length}", picture, title, alt)


def _by_length(studied: Sequence[Answers]) -> Iterator[Figure]:
    """Densities and FLOPs of AdaSpark by length: does it keep a smaller share of longer clips?"""
    from adaspark.eval.report import charts

    if len(studied) < 2:
        return
    tokens = [answers.length.tokens for answers in studied]
    names = {"attention": "attention density", "ffn": "FFN density", "flops": "FLOPs"}
    series = {
        label: [mean(answers.items, "AdaSpark", name) for answers in studied]
        for name, label in names.items()
    }
    title = "What AdaSpark computes, by length"
    picture = charts.lines(
        tokens,
        series,
        title=title,
        xlabel="video tokens",
        ylabel="share of dense",
        limits=(0.0, 1.0),
        percent=True,
        log_x=True,
        note="Prefill of the language model; FLOPs by arithmetic.",
    )
    said = "; ".join(
        f"{label} {', '.join(map(_percent, values))}" for label, values in series.items()
    )
    yield Figure("families_cost", picture, title, f"Lines at {tokens} video tokens: {said}.")


def _percent(share: float | None) -> str:
    return written(share, "percent")
