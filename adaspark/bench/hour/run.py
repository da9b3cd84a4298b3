"""`adaspark bench hour`: an hour of 720p read at a frame a second, and 64 frames out of hours."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import torch

from adaspark.bench.hour.asked import BUNDLED, asked, few_frames
from adaspark.bench.hour.footage import write_footage
from adaspark.environment import setting
from adaspark.errors import UserError
from adaspark.figures_json import write_figures

LONG = 3
"""Times the length of the other file that few frames are taken out of, too."""


def run(
    *,
    codecs: Sequence[str],
    minutes: int,
    frames: Sequence[int],
    json_path: str | None,
    models: Sequence[str] | None = None,
) -> int:
    """Print the figures as they come, write the JSON."""
    if minutes < 1 or min(frames) < 2:
        raise UserError("Give at least 1 minute and 2 frames.")
    asking = models or [BUNDLED]
    is_alone = asking == [BUNDLED] or not torch.cuda.is_available()
    used = setting("cpu" if is_alone else "cuda")
    result: dict[str, Any] = {"setting": used, "minutes": minutes, "rows": []}
    print(json.dumps(result["setting"]))
    for codec in codecs:
        with tempfile.TemporaryDirectory() as folder:
            row = {"codec": codec, **_measured(Path(folder), codec, 60 * minutes, frames, asking)}
        result["rows"].append(row)
        if json_path:  # as it grows: a run that is cut short is not lost
            write_figures(json_path, result)
    return 0


def _measured(
    folder: Path, codec: str, seconds: int, frames: Sequence[int], models: Sequence[str]
) -> dict[str, Any]:
    path = write_footage(folder, codec, seconds=seconds)
    longer = write_footage(folder, codec, seconds=LONG * seconds)
    row: dict[str, Any] = {
        "megabytes": path.stat().st_size / 2**20,
        "few": few_frames(path),
        "few_of_longer": few_frames(longer),
        "asked": [],
    }
    _tell_few(codec, row)
    longer.unlink()
    for model, count in product(models, frames):
        row["asked"].append(asked(path, count, seconds, folder / "features", model))
        _tell(codec, row["asked"][-1])
    return row


def _tell_few(codec: str, row: dict[str, Any]) -> None:
    for name, times in (("few", 1), ("few_of_longer", LONG)):
        spent = row[name]
        print(
            f"{codec}: 64 frames out of {times} x the length: index {spent['scan']:.1f} s, "
            f"frames {spent['frames']:.1f} s; processors {spent['processor_scan']:.1f} s and "
            f"{spent['processor_frames']:.1f} s",
            flush=True,
        )


def _tell(codec: str, found: dict[str, Any]) -> None:
    seconds = "  ".join(f"{name} {spent:.1f} s" for name, spent in found["seconds"].items())
    print(
        f"{codec}, {found['model']}: {found['frames']:,} frames, "
        f"{found['video_tokens']:,} tokens: {seconds}  "
        f"processors {found['processor_seconds']:.0f} s  "
        f"peak {found['peak_megabytes']:.0f} MB above the model, "
        f"{found['device_peak_gigabytes']:.1f} GB on a GPU",
        flush=True,
    )
