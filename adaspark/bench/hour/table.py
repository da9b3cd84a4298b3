"""The README's figures of hours, from the committed runs of `adaspark bench hour`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from adaspark.bench.gpu.table import row as _row

PHASES = ("decode", "vision", "prefill", "whole")


def written(folder: Path) -> str:
    """One table of all runs."""
    runs = [json.loads(path.read_text("utf-8")) for path in sorted(folder.glob("*.json"))]
    titles = ["codec", "frames", "video tokens", *PHASES, "memory", "index, 64 frames"]
    lines = [_row(*titles), _row("---", *["---:"] * (len(titles) - 1))]
    lines += [line for run in runs for row in run["rows"] for line in _lines(row)]
    return "\n".join(
        [
            f"{runs[0]['minutes']} minutes of 720p at 25 frames a second, asked about by the "
            "bundled model at 140 x 84: seconds by phase (decoding and the tower overlap: `decode` "
            "is what was waited for), memory at its peak above the loaded model, and seconds to "
            "read the file's index and then 64 frames out of it. Others were at work on the "
            "machine: times are upper bounds.",
            "",
            *lines,
            "",
            f"`adaspark bench hour`, one run each. {_settings(runs)}.",
        ]
    )


def _settings(runs: Sequence[dict[str, Any]]) -> str:
    """What was measured on what: the codecs of one machine and commit together."""
    codecs: dict[str, list[str]] = {}
    for run in runs:
        used = run["setting"]
        where = (
            f"{used['processor']}, torch {used['torch']}, transformers {used['transformers']}, "
            f"commit {used['commit']}"
        )
        codecs.setdefault(where, []).extend(row["codec"] for row in run["rows"])
    return "; ".join(f"{' and '.join(names)}: {where}" for where, names in codecs.items())


def _lines(row: dict[str, Any]) -> list[str]:
    few = f"{row['few']['scan']:.1f} s, {row['few']['frames']:.1f} s"
    return [
        _row(
            row["codec"],
            f"{found['frames']:,}",
            f"{found['video_tokens']:,}",
            *(f"{found['seconds'][name]:.0f} s" for name in PHASES),
            f"{found['peak_megabytes']:.0f} MB",
            few,
        )
        for found in row["asked"]
    ]
