"""The bundled sample clips and the questions recorded beside them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

SAMPLES = Path(__file__).parent.parent / "assets" / "samples"


@dataclass(frozen=True)
class Sample:
    """One clip: its file, a title made of the file's name, and questions it was made for."""

    name: str
    title: str
    path: Path
    questions: tuple[str, ...]


def read_samples(folder: Path = SAMPLES) -> list[Sample]:
    """The clips of a folder that have a JSON beside them, in order of their names."""
    return [_read(path) for path in sorted(folder.glob("*.mp4")) if _notes(path).exists()]


def _read(path: Path) -> Sample:
    items = json.loads(_notes(path).read_text(encoding="utf-8"))["items"]
    questions = tuple(dict.fromkeys(item["question"] for item in items))
    title = path.stem.lstrip("0123456789_-").replace("_", " ").replace("-", " ")
    return Sample(path.stem, (title or path.stem).capitalize(), path, questions)


def _notes(path: Path) -> Path:
    return path.with_suffix(".json")
