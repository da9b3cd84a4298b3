"""The app over an engine without a model: `python fake_app.py SAMPLES_FOLDER PORT [GATE]`.

With a gate, a path, the engine is "loaded" once there is something at it. If COMPILING names a
path, the engine is on a "GPU" that compiles the first setting until there is something at that one.
"""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from clips import write_clip
from fake_engine import FakeEngine, loading

from app.media.record_runs import record
from app.media.recorded_runs import trace_path
from app.media.samples import read_samples
from app.web.limits import limits_from
from app.web.logs import log_as_json
from app.web.server import Studio


class OnGpu(FakeEngine):
    """Says that it is on a GPU; to compile takes until there is something at `compiled`."""

    device = "cuda:0"

    def __init__(self, compiled: Path, *, step_secs: float) -> None:
        super().__init__(step_secs=step_secs, max_video_tokens=128_000)
        self._compiled = compiled

    def rehearse(self, *_: Any) -> None:
        while not self._compiled.exists():
            time.sleep(0.05)


KEPT = "kept"
"""The folder in that of the samples for what visitors send."""


def main(folder: Path, port: int, gate: Path | None = None) -> None:
    """Serve two sample clips with their recorded runs until interrupted."""
    items = [{"family": "none", "question": q, "answer": ""} for q in FakeEngine.questions]
    for name, size in (("01_numbers", (128, 96)), ("02_tall", (96, 128))):
        write_clip(folder / f"{name}.mp4", size=size)
        (folder / f"{name}.json").write_text(json.dumps({"items": items}))
    points = [{"budget": b, "attn_top_p": b / 2, "ffn_top_p": b} for b in (0.2, 0.6)]
    (folder / "calibration.json").write_text(json.dumps({"points": points, "cube": [2, 2, 2]}))
    samples = read_samples(folder)
    for sample in samples:
        record(FakeEngine(), sample).save(trace_path(sample, folder))
    compiled = os.environ.get("COMPILING")
    computing = OnGpu(Path(compiled), step_secs=0.4) if compiled else FakeEngine(step_secs=0.4)
    engine = loading(computing, started=False, gate=gate)
    limits = limits_from()
    if limits.cache_folder is None:
        limits = replace(limits, cache_folder=folder / KEPT)
    given = {"limits": limits, "root_path": os.environ.get("ROOT_PATH", "")}
    with Studio(engine, samples, traces=folder, model_folder=folder, **given) as studio:
        address = studio.start(host="127.0.0.1", port=port)
        if limits.log_json:
            log_as_json()
        print(address, flush=True)
        studio.wait()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), *map(Path, sys.argv[3:]))
