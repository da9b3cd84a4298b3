"""SparkWorld's families: answers are what the frames show, balanced, scored as said."""

import json
import random
import re
from collections import Counter
from dataclasses import replace
from functools import cache

import pytest
import shown_world
from hypothesis import given, settings
from hypothesis import strategies as st

from adaspark.assets import BUNDLED_MODEL
from adaspark.errors import UserError
from adaspark.mini.packed.packing import IGNORE, Packer
from adaspark.mini.questions.families import (
    EXTRA,
    FAMILIES,
    question_stream,
    questions,
    score,
    settings_for,
)
from adaspark.mini.questions.phrases import SENTENCES, SHORT
from adaspark.mini.questions.question import FRAME_SECS, Asker, Question
from adaspark.mini.training.data import BatchSpec, training_batch
from adaspark.mini.training.stages import STAGES
from adaspark.mini.training.tokenizer import train_tokenizer
from adaspark.mini.world.scene import Scene
from adaspark.mini.world.seeds import HELD_OUT_SEED, PURPOSES, RANGE, held_out_seed
from adaspark.mini.world.slow_motion import slowed
from adaspark.mini.world.vocabulary import COLORS, FILLS, SHAPES
from adaspark.mini.world.world import sample_scene

SEEDS = st.integers(0, 2**59)
SIZE = (112, 196)


@cache
def packer() -> Packer:
    return Packer(train_tokenizer())


def ask(family: str, scene: Scene, *, loose: bool = False) -> list[Question]:
    return questions(scene, question_stream(scene), count=2, families=[family], loose=loose)


def scene_for(family: str, seed: int, frames: int = 48) -> Scene:
    name = family if family in FAMILIES else "needle"
    return sample_scene(seed, settings_for(name, frames, SIZE))


@pytest.mark.few(5)
@pytest.mark.parametrize("family", [*FAMILIES, *EXTRA])
@given(seed=SEEDS, phase=st.sampled_from([0.0, 0.1, 0.2]))
@settings(max_examples=150, deadline=None)
def test_the_answer_is_what_the_frames_show(family: str, seed: int, phase: float) -> None:
    scene = scene_for(family, seed)
    frames = shown_world.shown(scene, phase_secs=phase)
    for question in ask(family, scene):
        assert question.family == family
        assert shown_world.answer(question, frames) == question.answer, question


@pytest.mark.few(4)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_is_asked_of_many_scenes_and_its_answers_are_balanced(family: str) -> None:
    asked = [ask(family, scene_for(family, seed)) for seed in range(700)]
    assert sum(map(bool, asked)) > 0.4 * 700
    by_form: dict[str, Counter[str]] = {}
    for question in (question for found in asked for question in found[:1]):
        form = "order_" + str(question.answer in COLORS)  # two kinds of answers
        form = form if family in ("order", "aggregate") else question.form
        by_form.setdefault(form, Counter())[question.answer] += 1
    for form, answers in by_form.items():
        if form in ("count_all", "count_some", "grounding") or family == "absent":
            continue  # no fair share: small numbers, spans, and "none" by definition
        classes = {"where": 4, "motion": 5, "beside": 2, "above": 2}.get(form, 6)
        total = answers.total()
        slack = 2 * (total / classes) ** 0.5  # what chance adds
        assert len(answers) == classes
        assert max(answers.values()) <= 1.5 * total / classes + slack, (form, answers)


@pytest.mark.parametrize(("family", "ceiling"), [("count", 0.4), ("grounding", 0.4)])
def test_the_best_blind_guess_is_poor(family: str, ceiling: float) -> None:
    found = [q for seed in range(600) for q in ask(family, scene_for(family, seed, 64))[:1]]
    for form in {question.form for question in found}:
        asked = [question for question in found if question.form == form]
        guesses = {question.answer for question in asked}
        assert max(sum(score(q, g) for q in asked) for g in guesses) < ceiling * len(asked)


@given(SEEDS, st.sampled_from(sorted(FAMILIES)))
@settings(max_examples=40, deadline=None)
def test_questions_follow_from_the_scene_and_the_stream(seed: int, family: str) -> None:
    scene = scene_for(family, seed)
    assert ask(family, scene, loose=True) == ask(family, scene, loose=True)


@given(SEEDS)
@settings(max_examples=80, deadline=None)
def test_a_lookalike_has_its_lookalike(seed: int) -> None:
    scene = scene_for("lookalike", seed)
    for question in ask("lookalike", scene):
        asked, *others = (scene.events[index] for index in question.events)
        assert question.event == question.events[0] and others
        assert {other.shape for other in others} == {asked.shape}
        assert asked.fill not in {other.fill for other in others}
        assert asked.color == question.answer


@given(SEEDS, st.floats(0, 1), st.floats(0.7, 3))
@settings(max_examples=80, deadline=None)
def test_the_needle_is_asked_about_where_it_was_placed(
    seed: int, depth: float, secs: float
) -> None:
    scene = sample_scene(seed, settings_for("needle", 64, SIZE, needle=(depth, secs)))
    found = ask("needle", scene)
    assert found and {question.event for question in found} == {scene.needle}


@given(SEEDS)
@settings(max_examples=80, deadline=None)
def test_nothing_is_asked_of_a_colour_that_changes_but_the_change(seed: int) -> None:
    scene = sample_scene(seed, replace(settings_for("motion", 48, SIZE), turning=1.0))
    for family in ("needle", "lookalike", "order", "count", "aggregate"):
        for question in ask(family, scene):
            values = {scene.events[i].turns for i in question.events} - {None}
            assert question.answer not in values
            assert not values or question.form not in ("color", "shape")


def test_questions_name_every_event_that_they_rest_on() -> None:
    pairs = {"order_pair", "beside", "above"}
    found = [q for seed in range(60) for f in FAMILIES for q in ask(f, scene_for(f, seed))]
    assert {q.form for q in found} >= pairs
    for question in found:
        assert question.event == (question.events[0] if question.events else None)
        if question.form in pairs:
            assert len(set(question.events)) == 2
    assert all(not q.events for q in found if q.family == "absent")


SPANS = st.tuples(st.integers(0, 60), st.integers(1, 60)).map(lambda s: (s[0], s[0] + s[1]))


@given(SPANS, SPANS)
def test_grounding_is_scored_by_overlap(one: tuple[int, int], two: tuple[int, int]) -> None:
    def iou(a: tuple[int, int], b: tuple[int, int]) -> float:
        return score(Question("grounding", "", f"{a[0]} to {a[1]}"), f" {b[0]} to {b[1]}")

    seconds = [set(range(*span)) for span in (one, two)]
    expected = len(seconds[0] & seconds[1]) / len(seconds[0] | seconds[1])
    assert iou(one, two) == iou(two, one) == pytest.approx(expected)
    assert iou(one, one) == 1.0


@given(st.text(max_size=12).filter(lambda text: " to " not in text))
def test_what_is_no_span_scores_nothing(text: str) -> None:
    assert score(Question("grounding", "", "3 to 9"), text) == 0.0
    assert score(Question("grounding", "", "3 to 9"), "9 to 3") == 0.0


def test_other_families_are_scored_exactly() -> None:
    question = Question("needle", "What color is the star?", "red")
    assert [score(question, said) for said in ("red", " Red ", "redd", "blue red", "")] == [
        1.0, 1.0, 0.0, 0.0, 0.0,
    ]  # fmt: skip


def test_held_out_ranges_are_disjoint_and_never_trained() -> None:
    ends = [(held_out_seed(p, 0), held_out_seed(p, RANGE - 1)) for p in PURPOSES]
    assert ends[0][0] == HELD_OUT_SEED
    assert all(ends[i][1] < ends[i + 1][0] for i in range(len(ends) - 1))
    for purpose, index in (("training", 0), ("test", -1), ("test", RANGE)):
        with pytest.raises(UserError, match=r"choose one|from 0 to"):
            held_out_seed(purpose, index)  # type: ignore[arg-type]


def test_unknown_families_are_refused() -> None:
    with pytest.raises(UserError, match="There is no family 'color'; choose one of needle,"):
        settings_for("color", 16, SIZE)


def test_the_bundle_suggests_a_question_of_each_family_worded_as_trained() -> None:
    """The file beside the weights and the world that they were trained on agree."""
    suggested = json.loads((BUNDLED_MODEL / "questions.json").read_text("utf-8"))
    templates = [template for group in SENTENCES.values() for template in group]
    wordings = [re.sub(r"\\{\w+\\}", r"([a-z0-9 ]+)", re.escape(t)) for t in templates]
    assert len(set(suggested)) == len(FAMILIES)
    known = {*COLORS, *SHAPES, *FILLS, "object", "color", "shape", "first", "last"}
    for question in suggested:
        matches = [re.fullmatch(wording, question) for wording in wordings]
        slots = [match.groups() for match in matches if match]
        assert slots, question
        assert any(
            all(word in known or word.isdigit() for slot in found for word in slot.split())
            for found in slots
        ), question


def test_every_form_has_a_short_wording_and_sentences() -> None:
    assert SHORT.keys() == SENTENCES.keys()


@given(SEEDS, st.sampled_from([0.5, 1.25, 2.0]))
@settings(max_examples=60, deadline=None)
def test_slow_motion_moves_seconds_and_nothing_else(seed: int, factor: float) -> None:
    scene = scene_for("at_time", seed)
    slow = slowed(scene, factor)
    for one, two in zip(scene.events, slow.events, strict=True):
        for secs in (0.3, 1.7, 5.1):
            assert one.visible(secs) == two.visible(secs * factor)
            assert one.color_at(secs) == two.color_at(secs * factor)
            assert slow.picture_place(two, secs * factor) == pytest.approx(
                scene.picture_place(one, secs)
            )
    plain, late = (
        questions(s, question_stream(s), count=6, families=["order", "count"], frame_secs=f)
        for s, f in ((scene, FRAME_SECS), (slow, FRAME_SECS * factor))
    )
    assert plain == late


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_every_stage_fills_its_batches(stage) -> None:  # type: ignore[no-untyped-def]
    spec = BatchSpec(seed=1, tokens=4000, asked=6)
    for step in range(3):
        batch = training_batch(packer(), stage, spec, step)
        assert (batch.families >= 0).float().mean() > 0.9
        assert (batch.labels != IGNORE).sum() > 0


@given(SEEDS, st.sampled_from(sorted(FAMILIES)))
@settings(max_examples=150, deadline=None)
def test_every_wording_fits_its_block(seed: int, family: str) -> None:
    for question in ask(family, scene_for(family, seed, frames=256), loose=True):
        ids, labels = packer().block(question)
        assert len(ids) == packer().block_tokens
        said = packer().tokenizer.decode([label for label in labels if label != IGNORE])
        assert said == question.answer + "<|im_end|>"


@given(st.integers(0, 999), st.integers(0, 999))
def test_numbers_are_read_digit_by_digit(one: int, two: int) -> None:
    tokens = packer().tokenizer.tokenize(f"At {one} seconds {two} to {one}")
    digits = [token for token in tokens if any(c.isdigit() for c in token)]
    assert digits == [*str(one), *str(two), *str(one)]


def test_a_reference_names_one_object_alone() -> None:
    for seed in range(200):
        scene = scene_for("lookalike", seed)
        frames = shown_world.shown(scene)
        asker = Asker(scene, random.Random(seed), "plain")
        for index in range(len(scene.events)):
            reference = asker.reference(index)
            if reference is not None:
                (looks,) = shown_world.named(reference)
                assert {s.who for s in shown_world.holders(frames, looks)} == {index}
