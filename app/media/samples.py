"""The clips that the page offers: SparkWorld's, with the questions recorded beside them, and one
of real footage from the installed gradio package, left out if it is not there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from adaspark.assets import SAMPLES
from adaspark.video.content import content_hash

EARTH = "media_assets/videos/world.mp4"
EARTH_SHA256 = "71944d7430c461f0cd6e7fd10cee7eb72786352a3678fc7bc0ae3d410f72aece"
REAL_NOTE = (
    "Satellite pictures: what the bundled model says of them means nothing, its selection is real."
)


@dataclass(frozen=True)
class Sample:
    """One clip: its file, a title, and questions about it, the first of them the recorded one.

    `poster_secs` is the moment that its card shows; `note` is said beside its facts. `sampling` are
    options of a request (`fps`, `max_frames`, ...) that take the place of the model's own: a long
    clip is to be shown in full.
    """

    name: str
    title: str
    path: Path
    questions: tuple[str, ...]
    poster_secs: float = 0.1
    note: str = ""
    sampling: Mapping[str, Any] = field(default_factory=dict)


def read_samples(folder: Path = SAMPLES) -> list[Sample]:
    """The clips of a folder that have a JSON beside them, in order of their names."""
    return [_read(path) for path in sorted(folder.glob("*.mp4")) if _notes(path).exists()]


def real_footage() -> list[Sample]:
    """The clip in the installed gradio package, if it is the one that was recorded."""
    found = find_spec("gradio")
    if found is None or found.origin is None:
        return []
    path = Path(found.origin).parent / EARTH
    if not path.is_file() or content_hash(path) != EARTH_SHA256:
        return []
    questions = ("How many objects are there?", "What color is the circle?")
    return [Sample("earth", "Earth at night", path, questions, poster_secs=12.0, note=REAL_NOTE)]


def _read(path: Path) -> Sample:
    notes = json.loads(_notes(path).read_text(encoding="utf-8"))
    # The model learned "colour" and "color"; only "color" occurs in all kinds of questions.
    spelled = (item["question"].replace("colour", "color") for item in notes["items"])
    questions = tuple(dict.fromkeys(spelled))
    title = path.stem.lstrip("0123456789_-").replace("_", " ").replace("-", " ")
    return Sample(
        path.stem,
        (title or path.stem).capitalize(),
        path,
        questions,
        _fullest(notes),
        sampling=notes.get("sampling", {}),
    )


def _fullest(notes: dict[str, Any]) -> float:
    """The middle, in seconds, of the event at which most events are in sight."""
    spans = [(e["start_secs"], e["end_secs"]) for e in notes.get("events", [])]
    middles = [(start + end) / 2 for start, end in spans]
    in_sight = [sum(start <= at <= end for start, end in spans) for at in middles]
    return middles[in_sight.index(max(in_sight))] if middles else 0.1


def _notes(path: Path) -> Path:
    return path.with_suffix(".json")
