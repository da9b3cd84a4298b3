"""The bundled sample clips and the questions recorded beside them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SAMPLES = Path(__file__).parent.parent / "assets" / "samples"


@dataclass(frozen=True)
class Sample:
    """One clip: its file, a title made of the file's name, and questions it was made for.

    `poster_secs` is the moment that its card shows.
    """

    name: str
    title: str
    path: Path
    questions: tuple[str, ...]
    poster_secs: float = 0.1


def read_samples(folder: Path = SAMPLES) -> list[Sample]:
    """The clips of a folder that have a JSON beside them, in order of their names."""
    return [_read(path) for path in sorted(folder.glob("*.mp4")) if _notes(path).exists()]


def _read(path: Path) -> Sample:
    notes = json.loads(_notes(path).read_text(encoding="utf-8"))
    questions = tuple(dict.fromkeys(item["question"] for item in notes["items"]))
    title = path.stem.lstrip("0123456789_-").replace("_", " ").replace("-", " ")
    return Sample(path.stem, (title or path.stem).capitalize(), path, questions, _fullest(notes))


def _fullest(notes: dict[str, Any]) -> float:
    """The middle of an event during which the most events are in sight, in seconds."""
    spans = [(e["start_secs"], e["end_secs"]) for e in notes.get("events", [])]
    middles = [(start + end) / 2 for start, end in spans]
    in_sight = [sum(start <= at <= end for start, end in spans) for at in middles]
    return middles[in_sight.index(max(in_sight))] if middles else 0.1


def _notes(path: Path) -> Path:
    return path.with_suffix(".json")
