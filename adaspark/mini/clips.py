"""SparkWorld scenes as MP4 files, each with the questions one can ask about it."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from adaspark.errors import UserError
from adaspark.mini.render import render
from adaspark.mini.tasks import FAMILIES, Question, questions
from adaspark.mini.world import HELD_OUT_SEED, Scene, SceneSettings, sample_scene

_CHUNK = 32  # pictures drawn at once


def write_mp4(
    scene: Scene, path: Path, *, frames: int, size: tuple[int, int], fps: int = 24
) -> None:
    """Write the first `frames` pictures of a scene at `fps` as H.264, yuv420p, with PyAV.

    `size` is (height, width) in pixels, both even.
    """
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps, options={"crf": "20", "preset": "slow"})
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
) -> dict[str, Any]:
    """Write a held-out clip that answers a question of `family`, and a JSON file beside it.

    `frames` counts the model's frames at 4 a second; the file has 24 pictures a second. Returns
    what the JSON holds: `items` (family, question, answer), `events`, `fps`, `seed`.
    Raises `UserError` for an unknown family or for fewer than 4 frames.
    """
    if family not in FAMILIES:
        raise UserError(f"There is no family {family!r}; choose one of {', '.join(FAMILIES)}.")
    if frames < 4:
        raise UserError(f"A clip needs 4 frames or more, got {frames}.")
    settings = SceneSettings(frames, size, objects, repeats=1.0 if family == "most" else 0.25)
    scene, items = _scene_with(family, settings, seed)
    fps = 24
    write_mp4(scene, path, frames=round(scene.secs * fps), size=size, fps=fps)
    content = {
        "items": [{"family": q.family, "question": q.text, "answer": q.answer} for q in items],
        "events": [_event(event) for event in scene.events],
        "fps": fps,
        "seed": seed,
    }
    text = json.dumps(content, indent=2) + "\n"
    path.with_suffix(".json").write_text(text, encoding="utf-8")
    return content


def _scene_with(family: str, settings: SceneSettings, seed: int) -> tuple[Scene, list[Question]]:
    """The first scene from `seed` on that answers the family, with one question of each family."""
    for attempt in range(1000):
        scene = sample_scene(HELD_OUT_SEED + seed * 1000 + attempt, settings)
        rng = random.Random(scene.seed)
        first = questions(scene, rng, count=1, families=[family], loose=False)
        if first:
            rest = [name for name in FAMILIES if name != family]
            for name in rest:
                first += questions(scene, rng, count=1, families=[name], loose=False)
            return scene, first
    raise UserError(
        f"No clip of {settings.frames} frames answers a question of family {family!r}; "
        "ask for more frames."
    )


def _event(event: Any) -> dict[str, Any]:
    names = ("shape", "color", "start_secs", "end_secs", "x", "y", "direction", "path", "radius")
    return {name: getattr(event, name) for name in names}
