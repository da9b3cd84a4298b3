"""What a worker must know: the plan of a run and its units of work; small, and picklable."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from adaspark.inspect.inputs import Pair
from adaspark.inspect.settings import Setting
from adaspark.model.checkpoint_source import locate
from adaspark.model.drawing import Drawing

QUESTIONS_AT_ONCE = 32
"""of one video in a unit: many enough that its features are rarely encoded twice"""
_KEY_DIGITS = 24


@dataclass(frozen=True)
class Plan:
    """How every pair is asked. `out` is absolute, as the workers see it; `limits` are those of a
    file, None: any size.
    """

    out: str
    settings: tuple[Setting, ...]
    model: str = "mini"
    weights: str = ""
    adapter: str | None = None
    device: str = "auto"
    preset: str | None = None
    max_new_tokens: int = 32
    sampling: Mapping[str, Any] = field(default_factory=dict)
    drawing: Drawing | None = None
    limits: Any = None

    def key(self, *what: Any) -> str:
        """A name for what this plan makes of something JSON-ready."""
        asked = {
            "model": [self.model, self.weights, self.adapter, self.preset],
            "max_new_tokens": self.max_new_tokens,
            "sampling": dict(self.sampling),
            "drawing": asdict(self.drawing) if self.drawing else None,
        }
        return digest(asked, *what)


@dataclass(frozen=True)
class Unit:
    """Questions of one video for one worker. `reports` says how many of them get a page."""

    video: str
    pairs: tuple[Pair, ...]
    reports: int = 0

    def key(self, plan: Plan) -> str:
        """The name of its part of the tables; another one if the video's files have changed."""
        settings = [[setting.name, dict(setting.changes)] for setting in plan.settings]
        return plan.key(self.video, _state(self.video), self.pairs, settings, self.reports)


def units_of(pairs: Sequence[Pair], *, reports: int = 0) -> Iterator[Unit]:
    """The pairs, which come video by video, as units; the first `reports` of them get a page."""
    begun = 0
    for video, of_video in groupby(pairs, lambda pair: pair.video):
        mine = tuple(of_video)
        for start in range(0, len(mine), QUESTIONS_AT_ONCE):
            part = mine[start : start + QUESTIONS_AT_ONCE]
            yield Unit(video, part, reports=min(max(reports - begun, 0), len(part)))
            begun += len(part)


def weights_of(model: str, adapter: str | None = None) -> str:
    """A name for the files of a model on this disk, by their sizes and times of change."""
    folders = [source.folder for name in (model, adapter) if name for source in [locate(name)]]
    return digest([_stats(folder.iterdir()) for folder in folders if folder is not None])


def digest(*what: Any) -> str:
    """A short SHA-256 of JSON-ready values."""
    text = json.dumps(what, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:_KEY_DIGITS]


def _state(video: str) -> list[list[Any]]:
    path = Path(video)
    try:
        return _stats(path.iterdir() if path.is_dir() else [path])
    except (OSError, ValueError):
        return []


def _stats(paths: Iterable[Path]) -> list[list[Any]]:
    found = [(path.name, path.stat()) for path in sorted(paths)]
    return [[name, stat.st_size, stat.st_mtime_ns] for name, stat in found]
