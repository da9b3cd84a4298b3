"""`adaspark eval case`: the right word, the right cubes, and cases picked by rule."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from adaspark.eval.case import run as case
from adaspark.eval.case.frames import packed, shown_slices, unpacked
from adaspark.eval.case.report import best_layer, cases, draw, lift, of_kind
from adaspark.eval.harness.clips import Length, mixed_clips
from adaspark.eval.harness.conditions import Condition
from adaspark.eval.harness.context import Context, plan_dict
from adaspark.eval.harness.runner import Record, RecordedBatch, Runner
from adaspark.eval.report.results import Results, load
from adaspark.mini.world.event import Event
from adaspark.model import checkpoint

PLAN = case.Plan(items=3, length="16x224", families=("needle", "order", "absent"))
masks = st.lists(st.booleans(), min_size=1, max_size=80).map(torch.tensor)


@cache
def loaded() -> checkpoint.Checkpoint:
    return checkpoint.load(device="cpu")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """A tiny run with the bundled model."""
    folder, config = tmp_path_factory.mktemp("case"), loaded().config
    named = plan_dict(PLAN, "mini")
    made = Results(folder, "adaspark eval case", plan=named, config=config.to_dict())
    case.run(PLAN, Context(loaded(), config, made, say=lambda _: None))
    return made


@pytest.mark.parametrize(
    ("question", "word"),
    [
        ("What color is the striped circle?", "circle"),
        ("WHAT SHAPE IS THE RED OBJECT", "RED"),
        ("Which color comes first?", "first"),
        ("Is the circle left or right of the heart?", "circle"),
        ("Which came last, the red one or the blue one?", "red"),
        ("What is the predominant thing?", None),
    ],
)
def test_the_key_word_is_the_last_that_names_what_is_asked(question: str, word: str | None) -> None:
    event = Event(
        "circle", "red", (214, 40, 40), 0.0, 1.0, 0.5, 0.5, "still", 0.0, 0.1, 0.0, "striped"
    )
    found = case.key_word(question, event)
    assert (found and found[0]) == word


def test_the_rows_are_those_of_the_words() -> None:
    runner, recorded = Runner(loaded()), list[RecordedBatch]()
    clips = mixed_clips(Length(16, 112), items=2, families=["needle", "order", "motion"])
    for batch in runner.batches(clips):
        runner.run(batch, Condition("AdaSpark", loaded().config), record=Record(recorded.append))
    (one,) = recorded
    for row, clip in enumerate(clips):
        for index, question in enumerate(clip.questions):
            assert question.event is not None
            span = one.spans[row][index]
            key = case.key_word(question.text, clip.scene.events[question.event])
            assert key is not None
            ids = runner.packer.fitting([question], answer_tokens=8).block(question)[0]
            place = case.key_row(runner.packer, question.text, key.end(), span) - span.asked.start
            until = loaded().tokenizer.decode(ids[: place + 1])
            assert until.endswith(question.text[: key.end()])


@given(masks)
def test_bits_hold_a_mask(mask: torch.Tensor) -> None:
    assert torch.equal(unpacked(packed(mask), len(mask)), mask)


@given(masks, st.integers(1, 8))
def test_shown_slices_are_in_order_and_show_the_object(present: torch.Tensor, count: int) -> None:
    slices = shown_slices(present, count)
    assert slices == sorted(set(slices)) and len(slices) == min(count, len(present))
    inside = int(present[slices].sum())
    assert inside >= min(count // 2, int(present.sum()))


@given(st.integers(1, 40), st.data())
def test_fit_is_a_share_and_whole_where_it_is_right(tokens: int, data: st.DataObject) -> None:
    draw_mask = st.lists(st.booleans(), min_size=tokens, max_size=tokens).map(torch.tensor)
    chosen, truth = data.draw(draw_mask), data.draw(draw_mask.filter(lambda mask: mask.any()))
    found = case.fit(torch.stack([chosen, truth, ~truth]), truth)
    assert all(0 <= value <= 1 for values in found.values() for value in values)
    assert found["iou"][0] <= found["recall"][0]
    assert found["iou"][1:] == [1.0, 0.0] and found["recall"][1:] == [1.0, 0.0]
    assert found["share"][1] == pytest.approx(float(truth.double().mean()), abs=1e-4)


def test_items_hold_both_words_of_questions_about_an_object(results: Results) -> None:
    assert {item["family"] for item in results.items} == {"needle", "order"}
    for item in results.items:
        kind = item["key"][2]
        expected = item["expected"].split()[0]
        assert (
            item["word"] == expected
            if kind == "answer"
            else item["word"] in item["question"].lower()
        )
        layers = loaded().model.config.text_config.num_hidden_layers
        assert len(item["iou"]) == len(item["cubes"]) == layers
        assert max(item["iou"]) <= 1 and 0 < item["ceiling"] <= 1


def test_the_answering_row_chooses_the_object_better_than_by_lot(results: Results) -> None:
    mine = [item for item in of_kind(results.items, "answer") if item["family"] == "needle"]
    assert lift(mine, best_layer(mine)).value > 0.2


def test_pictures_are_drawn_again_without_a_model(
    results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    results.save([])

    def forbidden(*_: Any, **__: Any) -> Any:
        raise AssertionError("no model is needed for this")

    monkeypatch.setattr(checkpoint, "load", forbidden)
    again = load(results.folder)
    draw(again)
    assert any(figure.name.endswith("hits") for figure in again.figures)
    assert "Fig. 5" in (Path(results.folder) / "index.html").read_text("utf-8")


def made(seed: int, family: str, recall: float, correct: float) -> dict[str, Any]:
    return {"key": [seed, 0, "answer"], "family": family, "recall": [recall], "correct": correct}


def test_cases_are_the_first_by_seed() -> None:
    items = [
        made(3, "needle", 0.9, 1.0),
        made(2, "needle", 0.9, 0.0),
        made(1, "needle", 0.2, 1.0),
        made(5, "needle", 0.0, 1.0),
        made(4, "needle", 0.0, 0.0),
        made(6, "order", 0.5, 1.0),
    ]
    hits, misses = cases(items, 0)
    assert [item["key"][0] for item in hits] == [3, 6]
    assert [item["key"][0] for item in misses] == [4]


def test_the_best_layer_fits_best_on_average() -> None:
    assert best_layer([{"iou": [0.1, 0.5, 0.2]}, {"iou": [0.2, 0.1, 0.5]}]) == 2
    assert best_layer([{"iou": [0.3, 0.3]}]) == 0
