"""SparkWorld: scenes, pictures, truth and questions follow from the seed and agree."""

import random
from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from adaspark.mini.clips import make_world
from adaspark.mini.render import render
from adaspark.mini.table import tabulate
from adaspark.mini.tasks import FAMILIES, Question, question_chips, questions
from adaspark.mini.truth import token_truth
from adaspark.mini.world import MAX_EVENTS, Scene, SceneSettings, sample_scene

SEEDS = st.integers(0, 2**59)
LONG = SceneSettings(frames=64, size=(224, 224), objects=(2, 5))


def times(frames: int) -> list[float]:
    return [index / 4 for index in range(frames)]


@given(SEEDS)
@settings(max_examples=30, deadline=None)
def test_a_seed_fixes_the_scene_and_its_questions(seed: int) -> None:
    def draw() -> tuple[Scene, list[Question]]:
        scene = sample_scene(seed, LONG)
        return scene, questions(scene, random.Random(seed), count=5)

    assert draw() == draw()
    assert sample_scene(seed + 1, LONG) != sample_scene(seed, LONG)


@given(SEEDS, st.sampled_from([(112, 112), (112, 196), (224, 224)]))
@settings(max_examples=60, deadline=None)
def test_objects_stay_in_the_picture_and_start_in_different_slices(
    seed: int, size: tuple[int, int]
) -> None:
    scene = sample_scene(seed, SceneSettings(frames=32, size=size, objects=(1, 6)))
    assert len(scene.events) <= MAX_EVENTS
    starts = [int(max(event.start_secs, 0) / 0.5) for event in scene.events]
    assert starts == sorted(set(starts))
    for event in scene.events:
        reach = event.radius * min(size)
        for secs in (event.start_secs, event.end_secs):
            x, y = event.place(secs)
            assert reach <= x * size[1] <= size[1] - reach
            assert reach <= y * size[0] <= size[0] - reach


def test_a_batch_of_scenes_is_drawn_as_each_alone() -> None:
    scenes = [sample_scene(seed, SceneSettings(size=(112, 140))) for seed in range(3)]
    together = render(scenes, times(8), (112, 140))
    assert together.shape == (3, 8, 3, 112, 140) and together.dtype == torch.uint8
    for scene, pictures in zip(scenes, together, strict=True):
        alone = render([scene], times(8), (112, 140))[0]
        assert (alone.int() - pictures.int()).abs().max() <= 1


def test_more_frames_a_second_show_the_same_moments() -> None:
    scene = sample_scene(5, SceneSettings())
    smooth = render([scene], [index / 24 for index in range(48)], (112, 112))
    assert torch.equal(smooth[:, ::6], render([scene], times(8), (112, 112)))


def test_truth_marks_the_tokens_whose_pixels_the_object_changes() -> None:
    for seed in range(6):
        scene = sample_scene(seed, SceneSettings(objects=(1, 1)).plain())
        empty = Scene(scene.seed, scene.secs, scene.size, (), scene.backdrop)
        shown, bare = (render([s], times(16), (112, 112))[0].int() for s in (scene, empty))
        changed = (shown - bare).abs().amax(1).view(8, 2, 4, 28, 4, 28).float()
        share = (changed > 25).float().mean(dim=(3, 5)).amax(1)
        table = tabulate([scene])
        truth = token_truth(table, torch.tensor([times(16)]), (112, 112))[0, ..., 0]
        assert truth[share > 0.25].all(), "a token that shows much of the object"
        # A disc stands for every shape, so it may reach into a corner that the shape leaves free.
        assert truth.any() and truth[share == 0].sum() <= 0.1 * truth.sum()


@given(SEEDS)
@settings(max_examples=80, deadline=None)
def test_answers_follow_from_the_event_log(seed: int) -> None:
    scene = sample_scene(seed, LONG)
    for question in questions(scene, random.Random(seed), count=8):
        text, event = question.text.lower(), None
        if question.event is not None:
            event = scene.events[question.event]
        match question.family:
            case "color":
                assert event and event.shape in text and event.color == question.answer
                assert [e.shape for e in scene.events].count(event.shape) == 1
            case "shape":
                assert event and event.color in text and event.shape == question.answer
            case "motion":
                assert event and event.direction == question.answer
            case "order":
                assert event and question.answer in (event.color, event.shape)
            case "absent":
                assert not any(e.shape in text or e.color in text for e in scene.events)
            case "count":
                assert 0 <= int(question.answer) <= len(scene.events)
            case "where":
                assert event and ("left" in question.answer) == (event.x < 0.5)
                assert ("top" in question.answer) == (event.y < 0.5)


def test_counts_and_first_and_last_agree_with_the_log() -> None:
    for seed in range(60):
        scene = sample_scene(seed, LONG)
        rng = random.Random(seed)
        for question in questions(scene, rng, count=6, families=["count", "order"], loose=False):
            if question.text == "How many objects appear?":
                assert question.answer == str(len(scene.events))
            if question.text == "Which color comes first?":
                assert question.answer == scene.events[0].color
            if question.text == "Which shape comes last?":
                assert question.answer == scene.events[-1].shape


def test_answers_are_balanced() -> None:
    answers: dict[str, Counter[str]] = {}
    for seed in range(1500):
        scene = sample_scene(seed, LONG)
        for question in questions(scene, random.Random(seed), count=4):
            answers.setdefault(question.family, Counter())[question.answer] += 1
    assert set(answers) == set(FAMILIES)
    for family, most in {"color": 0.22, "shape": 0.22, "order": 0.15, "count": 0.35}.items():
        total = answers[family].total()
        assert max(answers[family].values()) / total < most, family
    for family, most in {"motion": 0.35, "where": 0.35, "when": 0.45, "exists": 0.58}.items():
        total = answers[family].total()
        assert max(answers[family].values()) / total < most, family


def test_the_page_offers_questions_of_the_kinds_that_exist() -> None:
    assert len(question_chips()) == len(set(question_chips())) >= 6


def test_an_mp4_holds_the_scene_and_its_questions(tmp_path) -> None:
    import av

    path = tmp_path / "clip.mp4"
    content = make_world("order", 8, 3, path, size=(112, 112))
    assert content["items"][0]["family"] == "order"
    with av.open(str(path)) as container:
        pictures = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(pictures) == 48 and pictures[0].shape == (112, 112, 3)
    assert (tmp_path / "clip.json").read_text().count('"question"') == len(content["items"])
    with pytest.raises(ValueError, match="no family"):
        make_world("smell", 8, 3, path)
