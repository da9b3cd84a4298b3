"""Fig. 4's question: what each layer keeps, for which queries and which questions."""

from __future__ import annotations

import copy
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import pytest
import torch
from evaluated import context
from hypothesis import given
from hypothesis import strategies as st

from adaspark.eval.harness.clips import Length, mixed_clips
from adaspark.eval.harness.conditions import Condition
from adaspark.eval.harness.recorded_rows import KINDS
from adaspark.eval.layers import run as layers
from adaspark.eval.layers.adaptivity import gaps
from adaspark.eval.layers.report import failures, findings, summarise
from adaspark.eval.report.correlation import correlation, rank_correlation
from adaspark.eval.report.results import load
from adaspark.mini.questions.families import FAMILIES

PLAN = layers.Plan(items=12, lengths=("32x112",), video_rows=6)


@cache
def folder() -> Path:
    place = Path(mkdtemp())
    running = context(place, PLAN)
    layers.run(PLAN, running)
    layers.draw(running.results)
    return place


@cache
def items() -> list[dict[str, Any]]:
    return load(folder()).items


@given(st.integers(3, 30), st.integers(0, 10**6))
def test_correlations_are_pearson_s_and_spearman_s(count: int, seed: int) -> None:
    draw = np.random.default_rng(seed)
    a, b = draw.normal(size=count), draw.normal(size=count)
    one, two = torch.tensor(a), torch.tensor(b)
    expected = np.corrcoef(a, b)[0, 1]
    assert float(correlation(one, two)) == pytest.approx(expected, abs=1e-9)
    ranks = np.corrcoef(a.argsort().argsort(), b.argsort().argsort())[0, 1]
    among = torch.ones(count, dtype=torch.bool)
    assert float(rank_correlation(one, two, among)) == pytest.approx(ranks, abs=1e-9)
    holed = torch.cat([one, torch.tensor([1e9])]), torch.cat([two, torch.tensor([torch.nan])])
    assert float(correlation(*holed)) == pytest.approx(expected, abs=1e-9)
    chosen = torch.cat([among, torch.tensor([False])])
    assert float(rank_correlation(*holed, chosen)) == pytest.approx(ranks, abs=1e-9)


def test_what_does_not_vary_correlates_with_nothing() -> None:
    values = torch.arange(4.0)
    assert correlation(values, torch.ones(4)).isnan()
    assert correlation(values[:2], values[:2]).isnan()
    assert float(rank_correlation(values, -values, torch.ones(4).bool())) == pytest.approx(-1)


def test_kept_shares_are_those_of_the_outcomes() -> None:
    """What video queries read is the density that every other evaluation reports."""
    plan = layers.Plan(items=1, lengths=("16x112",), video_rows=128)
    running = context(Path(mkdtemp()), plan)
    layers.run(plan, running)
    clips = mixed_clips(Length(16, 112), items=1)
    condition = Condition("AdaSpark", running.config)
    found = {i["key"][1]: i for i in running.results.items}
    for row, clip in zip(running.runner.run(clips, condition), clips, strict=True):
        item, density = found[clip.seed], row[0].density
        assert np.mean(item["ffn"]) == pytest.approx(density["ffn"], abs=1e-4)
        seen, template = sum(range(1, 129)), len(running.runner.packer.before)
        read = np.mean(item["kinds"]["video"]["tokens"]) * seen + 128 * template
        assert read / (seen + 128 * template) == pytest.approx(density["video"], abs=1e-4)


@pytest.mark.long
def test_every_family_and_kind_is_counted() -> None:
    asked = [question["family"] for item in items() for question in item["questions"]]
    assert set(asked) == set(FAMILIES) and min(asked.count(f) for f in FAMILIES) >= 12
    for item in items():
        for kind in KINDS:
            kept = item["kinds"][kind]
            assert all(0 <= share <= 1 for name in ("cubes", "tokens") for share in kept[name])
            assert all(-1 <= r <= 1 for r in kept["correlation"] if r is not None)


def test_a_flat_router_keeps_more() -> None:
    """Under top-p a query's entropy decides how many cubes it needs."""
    for kind in KINDS:
        found = [r for i in items() for r in i["kinds"][kind]["correlation"] if r is not None]
        assert np.mean(found) > 0.5


def test_a_question_about_the_whole_clip_keeps_more_than_one_about_an_object() -> None:
    """Adaptivity, in the layers that read the clip: a choice that did not look at the question
    would keep as many for both in every layer.
    """
    last = next(gap for gap in gaps(items()) if gap.rows == "last")
    assert last.clips >= 10 and last.more
    pairs = [{q["family"]: q["last"] for q in item["questions"]} for item in items()]
    pairs = [kept for kept in pairs if kept.keys() >= {"aggregate", "needle"}]
    differences = np.array([np.subtract(kept["aggregate"], kept["needle"]) for kept in pairs])
    assert last.clips == len(pairs) and last.mean.value == pytest.approx(differences.mean())
    np.testing.assert_allclose([gap.value for gap in last.layers], differences.mean(0))
    table = next(t for t in summarise(items()) if t.title.startswith("Is the choice adaptive"))
    assert [row[3] for row in table.rows] == [gap.mean for gap in gaps(items())]


def test_a_clip_is_asked_for_a_needle_beside_the_most_common() -> None:
    for clip in mixed_clips(Length(16, 112), items=5, families=["aggregate"]):
        both = layers.with_needle(clip)
        families = [question.family for question in both.questions]
        assert families in (["aggregate", "needle"], ["aggregate"])
        assert layers.with_needle(both) == both or families == ["aggregate"]


@pytest.mark.long
def test_the_page_is_drawn_from_saved_items() -> None:
    page = (folder() / "index.html").read_text("utf-8")
    assert "Fig. 4" in page and page.count("<img") == 3
    results = load(folder())
    layers.draw(results)
    assert (folder() / "index.html").read_text("utf-8") == page


def test_sentences_follow_the_numbers() -> None:
    def with_gap(gap: float) -> list[dict[str, Any]]:
        made = []
        for clip in range(24):
            item = copy.deepcopy(items()[0])
            item["key"][1] = clip
            kept = {rows: [0.3 + 0.001 * clip] * 6 for rows in ("question", "last", "answer")}
            more = {rows: [0.3 + 0.001 * clip + gap] * 6 for rows in kept}
            item["questions"] = [{"family": "needle", **kept}, {"family": "aggregate", **more}]
            made.append(item)
        return made

    said = " ".join(findings(with_gap(0.1)))
    assert said.count("adaptive over all layers") == said.count("adaptive in some layers") == 3
    assert not [s for s in failures(with_gap(0.1)) if "adaptiv" in s]
    assert " ".join(failures(with_gap(-0.1))).count("the wrong way round") == 3
    assert " ".join(failures(with_gap(-0.1))).count("fewer in layers 0, 1, 2, 3, 4 and 5") == 3
    assert " ".join(failures(with_gap(0.0))).count("adaptivity is not shown") == 3
    assert " ".join(failures(with_gap(0.1)[:5])).count("undecided") == 3
