"""The README's figures of hours, from the committed runs of `adaspark bench hour`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from adaspark.bench.gpu.table import row as _row
from adaspark.bench.hour.asked import BUNDLED

PHASES = ("decode", "vision", "prefill", "whole")
FEW = {"few": "index, 64 frames", "few_of_longer": "of three times the length"}
FULL_PHASES = ("decode", "vision", "prefill", "generate", "whole", "page")


def written(folder: Path) -> str:
    """A table of the bundled model's runs, and one of those by full-size models."""
    runs = [json.loads(path.read_text("utf-8")) for path in sorted(folder.glob("*.json"))]
    full = [run for run in runs if _full(run)]
    bundled = _bundled_table([run for run in runs if run not in full])
    return "\n\n".join([bundled, *map(_full_table, full)])


def _bundled_table(runs: Sequence[dict[str, Any]]) -> str:
    titles = ["codec", "frames", "video tokens", *PHASES, "memory", *FEW.values()]
    lines = [_row(*titles), _row("---", *["---:"] * (len(titles) - 1))]
    lines += [line for run in runs for row in run["rows"] for line in _lines(row)]
    return "\n".join(
        [
            f"{runs[0]['minutes']} minutes of 720p at 25 frames a second, asked about by the "
            "bundled model at 140 x 84: seconds by phase (decoding and the tower overlap: `decode` "
            "is what was waited for), memory at its peak above the loaded model, and seconds to "
            "read the file's index and then 64 frames out of it, and of a file of three times "
            "the length. While 3,600 frames were asked "
            "about, others were at work on the machine: those times are upper bounds.",
            "",
            *lines,
            "",
            f"`adaspark bench hour`, one run each. {_settings(runs)}.",
        ]
    )


def _full(run: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """What full-size models were asked: codec, and what it took."""
    asked = [(row["codec"], found) for row in run["rows"] for found in row["asked"]]
    return [(codec, found) for codec, found in asked if found.get("model", BUNDLED) != BUNDLED]


def _full_table(run: dict[str, Any]) -> str:
    titles = ["model", "codec", "frames", "video tokens", *FULL_PHASES, "GPU memory", "host memory"]
    lines = [_row(*titles), _row("---", "---", *["---:"] * (len(titles) - 2))]
    for codec, found in _full(run):
        shown = [found["model"], codec, f"{found['frames']:,}", f"{found['video_tokens']:,}"]
        times = [f"{found['seconds'][name]:.1f} s" for name in FULL_PHASES]
        memory = f"{found['device_peak_gigabytes']:.1f} GB", f"{found['peak_megabytes']:.0f} MB"
        lines.append(_row(*shown, *times, *memory))
    used = run["setting"]
    models = dict.fromkeys(found["model"] for _, found in _full(run))
    return "\n".join(
        [
            f"The same {run['minutes']} minutes by a full-size model of random weights, recorded: "
            "`whole` is until the trace is complete, `page` what the offline page took after it. "
            "GPU memory includes the model; kernels were compiled on the way, if they were not "
            "there.",
            "",
            *lines,
            "",
            f"`adaspark bench hour --models {' '.join(models)}`, one run; {used['accelerator']} "
            f"and {used['threads']} threads, torch {used['torch']}, transformers "
            f"{used['transformers']}, commit {used['commit']}. {run.get('note', '')}".strip(),
        ]
    )


def _settings(runs: Sequence[dict[str, Any]]) -> str:
    """What was measured on what: the runs of one machine, commit and number of frames together."""
    codecs: dict[tuple[int, str], list[str]] = {}
    for run in runs:
        used = run["setting"]
        where = (
            f"{used['processor']}, torch {used['torch']}, transformers {used['transformers']}, "
            f"commit {used['commit']}"
        )
        for row in run["rows"]:
            for found in row["asked"]:
                codecs.setdefault((found["frames"], where), []).append(row["codec"])
    return "; ".join(
        f"{frames:,} frames of {' and '.join(names)}: {where}"
        for (frames, where), names in codecs.items()
    )


def _lines(row: dict[str, Any]) -> list[str]:
    took = [row.get(name) for name in FEW]
    few = [f"{each['scan']:.1f} s, {each['frames']:.1f} s" if each else "" for each in took]
    return [
        _row(
            row["codec"],
            f"{found['frames']:,}",
            f"{found['video_tokens']:,}",
            *(f"{found['seconds'][name]:.0f} s" for name in PHASES),
            f"{found['peak_megabytes']:.0f} MB",
            *few,
        )
        for found in row["asked"]
    ]
