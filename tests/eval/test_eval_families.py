"""`adaspark eval families`: identical questions for all conditions, and words that follow the
numbers.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaspark.bench.readme_figures import families_table
from adaspark.errors import UserError
from adaspark.eval.families import run as families
from adaspark.eval.families.controls import as_shown
from adaspark.eval.families.report import draw, failures, findings
from adaspark.eval.families.tables import Answers, by_order, chance, study
from adaspark.eval.harness.clip import Clip
from adaspark.eval.harness.clips import Length, mixed_clips
from adaspark.eval.harness.context import Context, plan_dict
from adaspark.eval.report.results import Results
from adaspark.mini.questions.families import FAMILIES, score
from adaspark.mini.questions.question import Question
from adaspark.mini.world.seeds import RANGE, held_out_seed
from adaspark.mini.world.settings import SceneSettings
from adaspark.mini.world.world import sample_scene
from adaspark.model import checkpoint

SHORT = Length(16, 112)
PLAN = families.Plan(items=3, lengths=("16x112",), control_clips=5)


@cache
def ran(folder: Path) -> Results:
    """A tiny run with the bundled model."""
    loaded = checkpoint.load(device="cpu")
    named, config = plan_dict(PLAN, "mini"), loaded.config
    results = Results(folder, "adaspark eval families", plan=named, config=config.to_dict())
    families.run(PLAN, Context(loaded, config, results, say=lambda _: None))
    return results


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return ran(tmp_path_factory.mktemp("families"))


def test_every_family_has_its_items_and_every_clip_one_of_a_family() -> None:
    clips = mixed_clips(SHORT, items=4)
    asked = [question.family for clip in clips for question in clip.questions]
    assert Counter(asked) == dict.fromkeys(FAMILIES, 4)
    for clip in clips:
        assert len({question.family for question in clip.questions}) == len(clip.questions) > 0
    assert clips == mixed_clips(SHORT, items=4)


@pytest.mark.parametrize("purpose", ["evaluation", "calibration"])
def test_no_two_purposes_or_seeds_share_a_scene(purpose: Any) -> None:
    first = {clip.seed for clip in mixed_clips(SHORT, items=3, purpose=purpose)}
    other = {clip.seed for clip in mixed_clips(SHORT, items=3, purpose=purpose, seed=1)}
    assert not first & other
    begin = held_out_seed(purpose, 0)
    assert all(begin <= seed < begin + RANGE for seed in first | other)


def test_clips_too_short_for_a_family_are_refused() -> None:
    with pytest.raises(UserError, match=r"4x56 answer no question of family 'at_time'"):
        mixed_clips(Length(4, 56), items=1, families=["at_time"])


@pytest.mark.parametrize(("text", "tokens"), [("148x224", 4736), ("16x112", 128)])
def test_a_length_is_what_it_says(text: str, tokens: int) -> None:
    length = Length.parse(text)
    assert str(length) == text and length.tokens == tokens and length.is_trained
    assert not Length(length.frames * 100, length.side).is_trained


def test_all_conditions_answer_the_same_questions(results: Results) -> None:
    assert Counter(item["family"] for item in results.items) == dict.fromkeys(FAMILIES, 3)
    for item in results.items:
        assert {"dense", "AdaSpark"} <= item.keys()
        question = Question(item["family"], item["question"], item["expected"])
        for condition in ("dense", "AdaSpark"):
            right = score(question, item[condition]["answer"])
            assert item[condition]["correct"] == pytest.approx(right, abs=1e-3)
        assert 0 < item["AdaSpark"]["attention"] < 1 and 0 < item["AdaSpark"]["ffn"] < 1
        assert (item["AdaSpark"]["hit"] is None) == (item["family"] == "absent")


def test_controls_are_asked_of_the_first_clips_and_order_alone_is_shuffled(
    results: Results,
) -> None:
    controlled = [item for item in results.items if "blind" in item]
    assert len({item["key"][1] for item in controlled}) == PLAN.control_clips
    shuffled = [item for item in results.items if "shuffled" in item]
    assert shuffled and all("blind" in item for item in shuffled)
    for item in shuffled:
        assert item["family"] in ("order", "motion") and item["expected"] != "still"
        assert 0 <= item["shuffled"]["as_shown"] <= 1


def test_tables_page_and_readme_tell_the_items(results: Results) -> None:
    draw(results)
    answers, compared = results.tables[:2]
    cost = next(table for table in results.tables if table.title == "Cost")
    right = [i["dense"]["correct"] for i in results.items if i["family"] == "needle"]
    row = next(row for row in answers.rows if row[0] == "needle")
    assert row[list(answers.columns).index("dense")][0] == pytest.approx(sum(right) / 3)  # type: ignore[index]
    assert [row[0] for row in compared.rows] == [*FAMILIES, "all"]
    flops = cost.rows[0][list(cost.columns).index("FLOPs, share of dense")]
    assert 0 < flops < 1  # type: ignore[operator]
    assert {figure.name for figure in results.figures} == {"families_16x112"}
    page = (results.folder / "index.html").read_text("utf-8")
    assert all(family in page for family in FAMILIES) and "main tables" in page
    readme = families_table(results)
    assert "| 16, 112 | dense |" in readme and "| 16, 112 | AdaSpark |" in readme


def made(family: str, dense: list[float], sparse: list[float], **more: Any) -> list[dict[str, Any]]:
    """Items of one family, each of a video of its own."""
    condition = {"logprob": -0.1, "hit": 1.0, "hit_last": 1.0, "attention": 0.3, "rows": 0.2}
    condition |= {"ffn": 0.5, "flops": 0.4, "with_vision": 0.7}
    return [
        {
            "key": ["16x112", seed, 0],
            "family": family,
            "form": "color",
            "expected": f"colour {seed % 4}",
            "dense": {"answer": "", "correct": before},
            "AdaSpark": {"answer": "", "correct": after, **condition},
            **more,
        }
        for seed, (before, after) in enumerate(zip(dense, sparse, strict=True))
    ]


def only(items: list[dict[str, Any]]) -> Answers:
    (answers,) = study(items)
    return answers


def test_a_loss_is_a_failure_and_no_loss_is_none() -> None:
    lost = only(made("needle", [1.0] * 400, [1.0] * 300 + [0.0] * 100))
    assert any("AdaSpark, needle. Worse: −25.0 points" in said for said in failures(lost))  # noqa: RUF001
    kept = only(made("needle", [1.0] * 400, [1.0] * 400))
    assert not list(failures(kept))
    said = " ".join(findings(kept))
    assert "Non-inferior" in said and "non-inferior: needle" in said and "40.0 %" in said


def test_what_is_below_its_target_is_a_failure() -> None:
    weak = only(made("order", [1.0, 0.0] * 50, [1.0, 0.0] * 50))
    assert any("misses its target in order 50.0 % of 90.0 %" in said for said in failures(weak))


@pytest.mark.parametrize(("right", "is_failure"), [(0.0, False), (1.0, True)])
def test_what_is_answered_blind_is_a_failure(right: float, is_failure: bool) -> None:
    blind = {"blind": {"answer": "", "correct": right}}
    answers = only(made("needle", [1.0] * 100, [1.0] * 100, **blind))
    assert any("give something away" in said for said in failures(answers)) == is_failure
    assert any("grey pictures, not shown" in said for said in findings(answers)) != is_failure


def test_the_worst_family_is_named() -> None:
    items = made("needle", [1.0] * 50, [1.0] * 50) + made("count", [1.0] * 50, [0.0] * 50)
    assert any("worst family of AdaSpark is count" in said for said in findings(only(items)))


@given(st.lists(st.sampled_from(["red", "blue", "green"]), min_size=1, max_size=12))
def test_chance_is_the_best_constant_answer(expected: list[str]) -> None:
    items = [{"family": "needle", "form": "color", "expected": answer} for answer in expected]
    best = max(expected.count(answer) for answer in expected) / len(expected)
    assert chance(items) == pytest.approx(best)
    pair = [{"family": "order", "form": "order_pair", "expected": answer} for answer in expected]
    assert chance(pair) == 0.5


def test_luck_with_spans_is_the_best_constant_span() -> None:
    spans = ["0 to 4", "0 to 4", "2 to 4"]
    items = [{"family": "grounding", "form": "grounding", "expected": span} for span in spans]
    assert chance(items) == pytest.approx((1 + 1 + 0.5) / 3)


def test_order_is_read_off_the_frames_as_they_come() -> None:
    scene = sample_scene(7, replace(SceneSettings(16, (112, 112), (3, 3)).plain(), moving=0.0))
    first = min(scene.events, key=lambda event: event.start_secs)
    question = Question("order", "Which shape comes first?", first.shape, 0, "order_end", (0,))
    clips = [Clip(scene, 16, (112, 112), (question,), seed) for seed in range(40)]
    right = [as_shown(clip, question) for clip in clips]
    assert {0.0, 1.0} <= set(right), "a random order is now right, now wrong"
    assert by_order([{"shuffled": {"as_shown": value}} for value in right]) < 1
    still = Question("motion", "How does it move?", "still", 0, "motion", (0,))
    assert as_shown(clips[0], still) is None
    assert as_shown(clips[0], replace(still, answer="up")) == 0.5
    assert as_shown(clips[0], replace(still, form="color")) is None
