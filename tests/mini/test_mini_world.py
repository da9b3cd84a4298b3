"""SparkWorld's event logs: scenes follow from their seed, and hold what their settings say."""

import itertools
import math
from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaspark.errors import UserError
from adaspark.mini.world.event import Event
from adaspark.mini.world.placement import shown_span
from adaspark.mini.world.scene import Occluder, Scene, free_share
from adaspark.mini.world.settings import EFFECTS, SceneSettings
from adaspark.mini.world.vocabulary import FILLS, MAX_EVENTS, STYLES
from adaspark.mini.world.world import sample_scene

SEEDS = st.integers(0, 2**59)
LONG = SceneSettings(frames=64, size=(224, 224), objects=(2, 5))
ALL = replace(LONG, **dict.fromkeys(EFFECTS, 1.0))


@given(SEEDS, st.sampled_from([LONG, LONG.plain(), ALL, replace(ALL, needle=(0.4, 1.0))]))
def test_a_seed_fixes_the_scene(seed: int, settings: SceneSettings) -> None:
    assert sample_scene(seed, settings) == sample_scene(seed, settings)
    assert sample_scene(seed + 1, settings).events != sample_scene(seed, settings).events


@given(SEEDS)
def test_one_effect_leaves_the_rest_of_the_scene_as_it_is(seed: int) -> None:
    plain = sample_scene(seed, LONG.plain())
    for effect in ("styled", "distractors", "occluder"):
        scene = sample_scene(seed, replace(LONG.plain(), **{effect: 1.0}))
        changed = {
            f.name for f in fields(Scene) if getattr(scene, f.name) != getattr(plain, f.name)
        }
        assert len(changed) <= 1 and "events" not in changed, effect
    for effect, names in {
        "pale": {"pale"},
        "striped": {"fill"},
        "turning": {"turns", "turn_secs", "turn_rgb"},
    }.items():
        events = sample_scene(seed, replace(LONG.plain(), **{effect: 1.0})).events
        for one, two in zip(plain.events, events, strict=True):
            assert {
                f.name for f in fields(Event) if getattr(one, f.name) != getattr(two, f.name)
            } <= names


def test_plain_scenes_have_no_effect_and_full_ones_have_all() -> None:
    scenes = [sample_scene(seed, LONG.plain()) for seed in range(40)]
    assert {scene.style for scene in scenes} == {"room"}
    assert not any(s.distractors or s.occluder or s.camera.x or s.camera.y for s in scenes)
    events = [event for scene in scenes for event in scene.events]
    assert {(e.fill, e.pale, e.turns, e.turn_secs) for e in events} == {
        ("solid", False, None, None)
    }
    scenes = [sample_scene(seed, ALL) for seed in range(40)]
    assert {scene.style for scene in scenes} == set(STYLES) - {"room"}
    assert all(s.camera.x and 1 <= len(s.distractors) <= 3 for s in scenes)
    assert all(sum(event.pale for event in scene.events) == 1 for scene in scenes)
    assert sum(scene.occluder is not None for scene in scenes) > 30


@pytest.mark.parametrize("effect", ["styled", "camera", "distractors", "pale", "occluder"])
def test_a_share_of_scenes_is_that_share(effect: str) -> None:
    settings = replace(LONG.plain(), **{effect: 0.3})
    plain = LONG.plain()
    changed = sum(sample_scene(s, settings) != sample_scene(s, plain) for s in range(400))
    assert 0.2 < changed / 400 < 0.4


def test_effects_grow_with_their_strength_up_to_all_scenes() -> None:
    assert LONG.with_effects(1.0) == LONG and LONG.with_effects(0.0) == LONG.plain()
    half, full = LONG.with_effects(0.5), LONG.with_effects(100.0)
    for name in EFFECTS:
        assert getattr(half, name) == getattr(LONG, name) / 2 and getattr(full, name) == 1.0


@pytest.mark.parametrize(
    "wrong", [{"pale": 1.5}, {"camera": -0.1}, {"needle": (1.2, 1.0)}, {"needle": (0.5, 0.0)}]
)
def test_settings_that_mean_nothing_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(UserError, match="from 0"):
        replace(LONG, **wrong)


@given(SEEDS, st.sampled_from([(112, 112), (112, 196), (224, 224), (56, 56)]), st.booleans())
def test_objects_stay_in_the_picture_and_start_in_different_slices(
    seed: int, size: tuple[int, int], camera: bool
) -> None:
    settings = SceneSettings(frames=32, size=size, objects=(1, 6), camera=float(camera))
    scene = sample_scene(seed, settings)
    assert len(scene.events) <= MAX_EVENTS
    starts = [int(max(event.start_secs, 0) / 0.5) for event in scene.events]
    assert starts == sorted(set(starts))
    for event in scene.events:
        reach = event.radius * min(size)
        for secs in (event.start_secs, event.end_secs):
            x, y = scene.picture_place(event, secs)
            assert reach <= x * size[1] <= size[1] - reach
            assert reach <= y * size[0] <= size[0] - reach


@given(SEEDS)
def test_the_camera_is_slower_than_every_moving_object(seed: int) -> None:
    scene = sample_scene(seed, replace(ALL, moving=1.0))
    camera = scene.camera
    reach = math.hypot(camera.x, camera.y)
    assert 0.03 <= reach <= 0.0601
    fastest = reach * 2 * math.pi / camera.period_secs
    for event in scene.events:
        assert fastest < 0.5 * event.path / (event.end_secs - event.start_secs)
    moments = [index / 10 for index in range(160)]
    shifts = [camera.shift(secs) for secs in moments]
    assert max(math.dist(a, b) for a, b in itertools.pairwise(shifts)) <= fastest / 9.9
    assert max(map(math.hypot, *zip(*shifts, strict=True))) <= reach + 1e-9


@given(SEEDS, st.floats(0, 1), st.floats(0.7, 3.0), st.sampled_from([8, 64, 256]))
def test_the_needle_lies_at_its_depth_and_is_like_no_other(
    seed: int, depth: float, length: float, frames: int
) -> None:
    settings = replace(LONG, frames=frames, needle=(depth, length), moving=0.0, repeats=1.0)
    scene = sample_scene(seed, settings)
    assert scene.needle is not None
    needle = scene.events[scene.needle]
    others = [e for index, e in enumerate(scene.events) if index != scene.needle]
    assert all(e.shape != needle.shape and needle.color not in (e.color, e.turns) for e in others)
    assert needle.turns is None
    length = min(length, scene.secs)
    assert needle.end_secs - needle.start_secs == pytest.approx(length, abs=1e-3)
    middle = min(max(depth * scene.secs, length / 2), scene.secs - length / 2)
    assert (needle.start_secs + needle.end_secs) / 2 == pytest.approx(middle, abs=1e-3)


def test_a_pale_needle_scene_fades_the_needle() -> None:
    for seed in range(20):
        scene = sample_scene(seed, replace(LONG, needle=(0.5, 1.0), pale=1.0))
        assert [i for i, event in enumerate(scene.events) if event.pale] == [scene.needle]


@given(SEEDS, st.sampled_from([None, (0.3, 1.0)]))
def test_lookalikes_share_a_shape_and_differ_in_fill_and_colour(
    seed: int, needle: tuple[float, float] | None
) -> None:
    scene = sample_scene(seed, replace(LONG, lookalikes=1.0, needle=needle))
    shapes = [event.shape for event in scene.events]
    twice = [event for event in scene.events if shapes.count(event.shape) > 1]
    assert len(twice) == 2 and len(set(shapes)) == len(shapes) - 1
    assert {event.fill for event in twice} == set(FILLS)
    assert twice[0].color != twice[1].color


@given(SEEDS)
def test_a_colour_change_is_midway_and_to_a_colour_of_its_own(seed: int) -> None:
    scene = sample_scene(seed, replace(LONG, turning=1.0))
    turning = [event for event in scene.events if event.turns is not None]
    assert len(turning) <= 1
    for event in turning:
        start, end = shown_span(event, scene.secs)
        assert end - start >= 2
        assert event.turn_secs == pytest.approx((start + end) / 2, abs=1e-3)
        assert event.turns not in {e.color for e in scene.events}
        assert [e.shape for e in scene.events].count(event.shape) == 1
        assert event.color_at(start) == event.color and event.color_at(end) == event.turns


@given(SEEDS)
def test_distractors_keep_clear_of_objects(seed: int) -> None:
    scene = sample_scene(seed, replace(LONG, distractors=1.0))
    for patch in scene.distractors:
        for secs in (index / 20 for index in range(int(20 * scene.secs))):
            if not patch.start_secs <= secs < patch.end_secs:
                continue
            for event in scene.events:
                gap = math.dist(event.place(secs), patch.place(secs))
                # Objects are checked at seven moments; between them they move little.
                assert not event.visible(secs) or gap > 0.8 * (event.radius + patch.radius)


@given(SEEDS)
def test_a_pillar_never_hides_when_an_object_comes_and_goes(seed: int) -> None:
    scene = sample_scene(seed, replace(LONG, occluder=1.0))
    for event in scene.events:
        start, end = shown_span(event, scene.secs)
        moments = [start + (end - start) * index / 40 for index in range(40)]
        seen = [scene.in_sight(event, secs) for secs in moments]
        assert seen[0] and seen[-1]
        assert min(sum(seen[:20]), sum(seen[20:])) >= 10


@given(st.floats(0, 1), st.floats(0.05, 0.3), st.floats(0.06, 0.2))
def test_the_free_share_is_the_discs_area_beside_the_pillar(
    x: float, width: float, radius: float
) -> None:
    size = (112, 196)
    event = Event("circle", "red", (0, 0, 0), 0.0, 1.0, 0.5, 0.5, "still", 0.0, radius, 0.0)
    reach, cells = radius * 112 / 196, 400
    left, right = x - width / 2, x + width / 2
    area = free = 0.0
    for cell in range(cells):
        across = 2 * (cell + 0.5) / cells - 1
        strip = math.sqrt(1 - across * across)
        area += strip
        free += strip * (not left <= 0.5 + reach * across <= right)
    assert free_share(event, 0.5, Occluder(x, width, 0.5), size) == pytest.approx(
        free / area, abs=0.01
    )
    assert free_share(event, 0.5, None, size) == 1.0
