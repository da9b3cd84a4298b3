"""The log of a training run: one line of JSON a test, and when each family was learnt."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

LEARNT = 0.9  # accuracy at which a family counts as learnt


class RunLog:
    """`log.jsonl` in a run's folder.

    `learnt` holds, by stage and family, the first tested step at 90 %: trials showed that families
    are learnt suddenly and late, so the step says more than a curve's mean.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.learnt: dict[str, dict[str, int]] = {}

    def write(self, line: Mapping[str, Any], scores: Mapping[str, float]) -> None:
        """Add a test's line; `line` names at least `stage` and `step`."""
        known = self.learnt.setdefault(line["stage"], {})
        for family, score in scores.items():
            if score >= LEARNT:
                known.setdefault(family, line["step"])
        rounded = {name: round(value, 3) for name, value in scores.items()}
        text = json.dumps({**line, **rounded, "learnt": known})
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / "log.jsonl").open("a", encoding="utf-8") as file:
            file.write(text + "\n")
        print(text, flush=True)
