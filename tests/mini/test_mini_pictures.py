"""SparkWorld's pictures show what the event log says, and the token truth marks where."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from adaspark.mini.training.auxiliary import SECONDS, token_labels
from adaspark.mini.world.event import Event
from adaspark.mini.world.render import render
from adaspark.mini.world.scene import Camera, Distractor, Occluder, Scene
from adaspark.mini.world.scene_tensors import tabulate
from adaspark.mini.world.settings import SceneSettings
from adaspark.mini.world.truth import token_truth
from adaspark.mini.world.vocabulary import (
    COLORS,
    DIRECTIONS,
    FILLS,
    PALETTE,
    PATTERNS,
    SHAPES,
    STYLES,
)
from adaspark.mini.world.world import sample_scene

SIZE = (112, 112)
ASIDE = 0.06  # of the picture: nearer objects are on no side of each other
LOOKS = ("color", "shape", "fill", "direction", "beside", "above")
ROWS, COLUMNS = (1, 3, 5, 7), (0, 2, 4, 5, 7)  # eighths of the picture, of 4 and of 5 tokens
FULL = SceneSettings(frames=24, size=(112, 140), objects=(2, 5), occluder=0.6, camera=0.6)
SEEDS = st.integers(0, 2**59)


def times(frames: int) -> list[float]:
    return [index / 4 for index in range(frames)]


def scene_of(*events: Event, **parts: object) -> Scene:
    backdrop = sample_scene(4, SceneSettings()).backdrop
    return replace(Scene(0, 4.0, SIZE, events, backdrop), **parts)


def resting(x: float = 0.5, y: float = 0.5, **parts: object) -> Event:
    event = Event(
        "circle", "red", PALETTE["red"], -0.2, 4.2, x, y, "still", 0.0, 18 / 112, 0.1
    )  # fmt: skip
    return replace(event, **parts)


def picture(scene: Scene, secs: float = 1.0) -> Tensor:
    return render([scene], [secs], scene.size)[0, 0].float()


def disc(x: float, y: float, radius_px: float) -> Tensor:
    """Pixels within a circle: bool [H, W]."""
    rows, columns = torch.arange(SIZE[0]) + 0.5, torch.arange(SIZE[1]) + 0.5
    away = torch.hypot(rows[:, None] - y * SIZE[0], columns[None] - x * SIZE[1])
    return away < radius_px


def test_a_batch_of_scenes_is_drawn_as_each_alone() -> None:
    scenes = [sample_scene(seed, FULL) for seed in range(6)]
    together = render(scenes, times(8), FULL.size)
    assert together.shape == (6, 8, 3, *FULL.size) and together.dtype == torch.uint8
    for scene, pictures in zip(scenes, together, strict=True):
        alone = render([scene], times(8), FULL.size)[0]
        assert (alone.int() - pictures.int()).abs().max() <= 1


def test_more_frames_a_second_show_the_same_moments() -> None:
    scene = sample_scene(5, FULL)
    smooth = render([scene], [index / 24 for index in range(48)], FULL.size)
    assert torch.equal(smooth[:, ::6], render([scene], times(8), FULL.size))


@pytest.mark.parametrize("style", STYLES)
def test_every_colour_is_told_apart_in_every_style_fill_and_paleness(style: str) -> None:
    """By hue alone: the nearest of the six colours, when grey is taken away."""
    hues = torch.tensor([PALETTE[color] for color in COLORS]).float()
    hues = torch.nn.functional.normalize(hues - hues.mean(1, keepdim=True), dim=1)
    inside = disc(0.5, 0.5, 12)
    bare = picture(scene_of(style=style))
    saturation = (bare - bare.mean(0)).norm(dim=0).max()
    for index, color in enumerate(COLORS):
        for parts in ({}, {"fill": "striped"}, {"pale": True}):
            event = resting(color=color, rgb=PALETTE[color], **parts)
            seen = picture(scene_of(event, style=style))[:, inside].mean(1)
            tint = seen - seen.mean()
            assert (hues @ tint).argmax() == index, (color, parts)
            assert tint.norm() > 1.4 * saturation, (color, parts)


@pytest.mark.parametrize("shape", SHAPES)
def test_stripes_are_seen_at_the_smallest_size(shape: str) -> None:
    small = resting(shape=shape, radius=13 / 112, angle=0.0)
    column = picture(scene_of(replace(small, fill="striped"))).mean(0)[:, 56]
    solid = picture(scene_of(small)).mean(0)[:, 56]
    ratio = (column / solid)[50:62]
    assert ratio.min() < 0.5 and ratio.max() > 0.95


def test_a_colour_change_shows_at_its_time() -> None:
    event = resting(turns="blue", turn_secs=2.0, turn_rgb=PALETTE["blue"])
    before, after = (picture(scene_of(event), secs)[:, 56, 56] for secs in (1.99, 2.0))
    assert before[0] > before[2] and after[2] > after[0]
    assert (event.color_at(1.99), event.color_at(2.0)) == ("red", "blue")


@pytest.mark.parametrize("style", STYLES)
def test_the_camera_moves_the_whole_scene(style: str) -> None:
    """Four pixels to the right and three up, held still: the same picture, moved."""
    parts = {
        "style": style,
        "occluder": Occluder(0.8, 0.1, 0.6),
        "distractors": (Distractor("rings", 0.0, 3.0, 0.2, 0.2, 0.12),),
    }
    camera = Camera(4 / 112, -3 / 112, 1e6, math.pi / 2)
    still, moved = (
        picture(scene_of(resting(), **parts)),
        scene_of(resting(), **parts, camera=camera),
    )
    assert (picture(moved)[:, :-3, 4:] - still[:, 3:, :-4]).abs().max() <= 2
    x, y = moved.picture_place(moved.events[0], 1.0)
    assert (x, y) == pytest.approx((0.5 + 4 / 112, 0.5 - 3 / 112))


@pytest.mark.parametrize("pattern", PATTERNS)
def test_distractors_are_black_and_white_with_more_contrast_than_any_object(pattern: str) -> None:
    patch = Distractor(pattern, 0.0, 3.0, 0.5, 0.5, 16 / 112)
    seen = picture(scene_of(distractors=(patch,)))[:, disc(0.5, 0.5, 9)]
    assert (seen - seen.mean(0)).abs().max() <= 1, "no colour"
    pale = picture(scene_of(resting(pale=True)))[:, disc(0.5, 0.5, 9)]
    assert seen.mean(0).std() > 80 > 4 * pale.mean(0).std()


def test_a_pillar_hides_what_is_behind_it_and_nothing_else() -> None:
    pillar = Occluder(0.5, 0.1, 0.6)
    shown = picture(scene_of(resting(), occluder=pillar))
    bare, free = picture(scene_of(occluder=pillar)), picture(scene_of(resting()))
    left, right = round(0.45 * 112) + 1, round(0.55 * 112) - 1
    assert torch.equal(shown[..., left:right], bare[..., left:right])
    assert torch.equal(shown[..., : left - 2], free[..., : left - 2])
    assert torch.equal(shown[..., right + 2 :], free[..., right + 2 :])


@given(SEEDS)
def test_truth_marks_the_tokens_whose_pixels_the_object_changes(seed: int) -> None:
    """Camera, pillar and all, with one object taken away at a time."""
    scene, moments = sample_scene(seed, FULL), times(24)
    shown = render([scene], moments, scene.size)[0].int()
    truth = token_truth(tabulate([scene]), torch.tensor([moments]), scene.size)[0]
    for index, event in enumerate(scene.events):
        others = (*scene.events[:index], *scene.events[index + 1 :])
        bare = render([replace(scene, events=others)], moments, scene.size)[0].int()
        changed = (shown - bare).abs().amax(1).view(12, 2, 4, 28, 5, 28) > 8
        share = changed.float().mean(dim=(3, 5)).amax(1)
        held = truth[..., index]
        sight = torch.tensor([scene.in_sight(event, secs) for secs in moments]).view(12, 2)
        assert torch.equal(held.flatten(1).any(1), sight.any(1))
        clear = sight.all(1)
        assert held[clear][share[clear] > 0.3].all(), "a token that shows much of the object"
        # A disc stands for every shape: it may reach into a corner that another shape leaves free.
        assert event.shape != "circle" or not held[share == 0].any()
        assert held[share == 0].sum() <= 0.5 * held.sum()


@given(SEEDS)
def test_labels_are_those_of_the_object_in_the_token(seed: int) -> None:
    settings = replace(FULL, turning=1.0)
    scene, moments = sample_scene(seed, settings), times(24)
    table, tensor = tabulate([scene]), torch.tensor([moments])
    truth = token_truth(table, tensor, scene.size)[0].flatten(1, 2)
    labels = token_labels(table, tensor, scene.size)
    assert all(label.shape == (1, truth.shape[0] * 20) for label in labels.values())
    labels = {name: label.view(truth.shape[0], 20) for name, label in labels.items()}
    for step, tokens in enumerate(truth):
        end = moments[2 * step + 1]
        assert set(labels["second"][step].tolist()) == {int(moments[2 * step])}
        begun = sum(event.start_secs <= end for event in scene.events)
        assert set(labels["begun"][step].tolist()) == {begun}
        places = zip(labels["row"][step].tolist(), labels["column"][step].tolist(), strict=True)
        assert list(places) == [(row, column) for row in ROWS for column in COLUMNS]
        for token, held in enumerate(tokens.tolist()):
            found = {name: int(labels[name][step, token]) for name in labels}
            if not any(held):
                assert not any(found[name] for name in LOOKS)
                continue
            event = scene.events[held.index(True)]
            assert found["color"] == COLORS.index(event.color_at(end)) + 1
            assert found["shape"] == SHAPES.index(event.shape) + 1
            assert found["fill"] == FILLS.index(event.fill) + 1
            assert found["direction"] == DIRECTIONS.index(event.direction) + 1
            there = [other for other in scene.events if other.visible(end)]
            for axis, name in enumerate(("beside", "above")):
                own = scene.picture_place(event, end)[axis]
                rest = [scene.picture_place(o, end)[axis] for o in there if o is not event]
                gap = own - sum(rest) / len(rest) if rest and event in there else 0.0
                if abs(abs(gap) - ASIDE) > 1e-4:
                    assert found[name] == (abs(gap) > ASIDE) * (1 + (gap > 0))


def test_seconds_past_the_last_class_count_as_the_last() -> None:
    table = tabulate([scene_of()])
    late = torch.tensor([[SECONDS - 1.0, SECONDS - 0.5, SECONDS + 9.0, SECONDS + 9.5]])
    assert set(token_labels(table, late, (56, 56))["second"].flatten().tolist()) == {SECONDS - 1}


def test_truth_is_the_same_with_and_without_distractors() -> None:
    scene = sample_scene(8, replace(FULL, distractors=1.0))
    assert scene.distractors
    moments = torch.tensor([times(24)])
    without = tabulate([replace(scene, distractors=())])
    assert torch.equal(
        token_truth(tabulate([scene]), moments, scene.size),
        token_truth(without, moments, scene.size),
    )
