"""SparkWorld scenes as MP4 files, each with the questions one can ask about it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from adaspark.errors import UserError
from adaspark.mini.questions.families import FAMILIES, question_stream, questions, settings_for
from adaspark.mini.questions.question import FRAME_SECS, Question
from adaspark.mini.world.event import Event
from adaspark.mini.world.render import render
from adaspark.mini.world.scene import Scene
from adaspark.mini.world.seeds import held_out_seed
from adaspark.mini.world.settings import SceneSettings
from adaspark.mini.world.slow_motion import slowed
from adaspark.mini.world.world import sample_scene

FPS = 1 / FRAME_SECS
SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv", ".avi")
"""of files that can hold H.264"""
_CHUNK = 32  # pictures drawn at once
# More threads, or x264's macroblock tree, give other bytes each time for the same pictures.
_CODEC = {"crf": "20", "preset": "slow", "x264-params": "threads=1:mbtree=0"}
_NEEDLE_SECS = 1.5
_PICTURES = 6  # of the file for each of the model's frames
_LISTED = f"{', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}"
_ATTEMPTS = 1000  # scenes tried for one that answers the family


def write_mp4(
    scene: Scene, path: Path, *, frames: int, size: tuple[int, int], fps: int = 24
) -> None:
    """Write the first `frames` pictures of a scene at `fps` as H.264, yuv420p, with PyAV.

    `size` is (height, width) in pixels, both even. The same scene gives the same bytes.
    """
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps, options=_CODEC)
        stream.height, stream.width = size
        stream.pix_fmt = "yuv420p"
        for start in range(0, frames, _CHUNK):
            times = [index / fps for index in range(start, min(start + _CHUNK, frames))]
            for picture in render([scene], times, size)[0].permute(0, 2, 3, 1).numpy():
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                container.mux(stream.encode(frame))
        container.mux(stream.encode())


def make_world(
    family: str,
    frames: int,
    seed: int,
    path: Path,
    *,
    size: tuple[int, int] = (224, 224),
    objects: tuple[int, int] = (2, 4),
    depth: float | None = None,
    fps: float = FPS,
    pictures: int = _PICTURES,
    others: Sequence[str] = tuple(FAMILIES),
) -> dict[str, Any]:
    """Write a held-out clip that answers a question of `family`, and a JSON file beside it.

    `frames` counts the model's frames at `fps` a second (at another rate than 4 the scene is in
    slow or fast motion); the file has so many `pictures` for each, drawn and written some at a
    time. With `depth` the clip holds a brief needle whose middle lies at that share of it, and the
    first question is about the needle. Returns what the JSON holds: `items` (family, question,
    answer; the asked family first, then one of each of the `others` that the scene can answer),
    `events`, `scene`, `fps`, `seed`.
    Raises `UserError` for an unknown family, fewer than 4 frames, a size that is no multiple of 28
    pixels, a depth with another family than "needle", a rate that is not above 0 and at most 4, or
    a path that is of none of `SUFFIXES`.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise UserError(f"A clip's name ends in {_LISTED}, got {path.name!r}: name another file.")
    if not 0 < fps <= FPS:
        raise UserError(f"A rate is above 0 and at most {FPS:g} frames a second, got {fps:g}.")
    scene, drawn = draw_world(
        family, frames, seed, size=size, objects=objects, depth=depth, fps=fps
    )
    items = [question for question in drawn if question.family in (family, *others)]
    rate = max(1, round(pictures * fps))
    write_mp4(scene, path, frames=round(scene.secs * rate), size=size, fps=rate)
    content = {
        "items": [{"family": q.family, "question": q.text, "answer": q.answer} for q in items],
        "events": [_event(event) for event in scene.events],
        "scene": _scene(scene),
        "fps": rate,
        "seed": seed,
    }
    text = json.dumps(content, indent=2) + "\n"
    path.with_suffix(".json").write_text(text, encoding="utf-8")
    return content


def draw_world(
    family: str,
    frames: int,
    seed: int,
    *,
    size: tuple[int, int] = (224, 224),
    objects: tuple[int, int] = (2, 4),
    depth: float | None = None,
    fps: float = FPS,
) -> tuple[Scene, list[Question]]:
    """The scene and the questions of `make_world`, without writing them."""
    return _scene_with(family, _settings(family, frames, size, objects, depth), seed, fps)


def _settings(
    family: str,
    frames: int,
    size: tuple[int, int],
    objects: tuple[int, int],
    depth: float | None,
) -> SceneSettings:
    if frames < 4:
        raise UserError(f"A clip needs 4 frames or more, got {frames}.")
    if any(side < 56 or side % 28 for side in size):
        raise UserError(f"A clip's sides are multiples of 28 pixels from 56 on, got {size}.")
    if depth is not None and family != "needle":
        raise UserError(f'A depth is for the family "needle", got {family!r}.')
    needle = None if depth is None else (depth, _NEEDLE_SECS)
    return settings_for(family, frames, size, objects=objects, needle=needle)


def _scene_with(
    family: str, settings: SceneSettings, seed: int, fps: float
) -> tuple[Scene, list[Question]]:
    """The first scene from `seed` on that answers the family, with one question of each family."""
    for attempt in range(_ATTEMPTS):
        drawn = sample_scene(held_out_seed("clips", seed * _ATTEMPTS + attempt), settings)
        scene = slowed(drawn, FPS / fps)
        how: dict[str, Any] = {"count": 1, "loose": False, "frame_secs": 1 / fps}
        rng = question_stream(scene)
        found = questions(scene, rng, families=[family], **how)
        if found:
            for name in (name for name in FAMILIES if name != family):
                found += questions(scene, rng, families=[name], **how)
            return scene, found
    raise UserError(
        f"No clip of {settings.frames} frames answers a question of family {family!r}; "
        "ask for more frames."
    )


def _event(event: Event) -> dict[str, Any]:
    drawn = ("rgb", "turn_rgb", "angle")  # how it is painted
    return {name: value for name, value in asdict(event).items() if name not in drawn}


def _scene(scene: Scene) -> dict[str, Any]:
    names = ("secs", "size", "style", "camera", "distractors", "occluder", "needle")
    return {name: value for name, value in asdict(scene).items() if name in names}
