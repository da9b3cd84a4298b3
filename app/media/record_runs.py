"""`python -m app.media.record_runs`: record the gallery's runs anew, with the bundled model.

Run it after the bundled model or a sample clip has changed; a test fails until then.
"""

from __future__ import annotations

import argparse
import sys
import threading
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from adaspark.assets import BUNDLED_MODEL, TRACES
from adaspark.errors import UserError
from adaspark.model.request import Options, Result
from adaspark.trace.meta import Recorded, required
from adaspark.trace.trace import Trace
from adaspark.video.clip import content_hash
from app.media.recorded_runs import trace_path
from app.media.samples import Sample, read_samples, real_footage

WEIGHTS = BUNDLED_MODEL / "model.safetensors"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write one trace a clip; exit status 2 with one line if that cannot be done."""
    parser = argparse.ArgumentParser(prog="python -m app.media.record_runs", description=__doc__)
    parser.add_argument("--out", type=Path, default=TRACES, metavar="FOLDER")
    out = parser.parse_args(arguments).out
    try:
        from adaspark.model.engine import Engine

        engine = Engine(device="cpu")
        out.mkdir(parents=True, exist_ok=True)
        samples = [*read_samples(), *real_footage()]
        record(engine, samples[0], max_frames=2)  # a first run is slow: its seconds say nothing
        for sample in samples:
            path = trace_path(sample, out)
            trace = lightened(record(engine, sample))
            required(trace.meta.recorded, "clip").weights_sha256 = content_hash(WEIGHTS)
            trace.save(path)
            pack(path)
            print(f"{path} ({path.stat().st_size / 1000:.0f} kB): {_said(trace)}")
    except UserError as error:
        print(f"adaspark: {error}", file=sys.stderr)
        return 2
    return 0


def record(engine: Any, sample: Sample, *, max_frames: int | None = None) -> Trace:
    """The trace of an engine's answer to a clip's first question, bound to the clip."""
    options = Options(engine.default_config, max_frames=max_frames)
    events = engine.ask(sample.path, sample.questions[0], options, stop=threading.Event())
    result = next(event for event in events if isinstance(event, Result))
    return result.trace.with_meta(recorded=Recorded(content_hash(sample.path)))


def lightened(trace: Trace) -> Trace:
    """The same run in a smaller file: what every third query cube read stands for its neighbours,
    as in traces of long clips, and scores are right to a part in 64 (or a millionth).
    """
    some = slice(None, None, 3)
    bits = trace.word_probs.view(np.uint16) + np.uint16(16) & np.uint16(0xFFE0)
    return replace(
        trace,
        query_cubes=trace.query_cubes[some],
        kept_share=trace.kept_share[:, some],
        word_probs=bits.view(np.float16),
        meta=replace(trace.meta, sampled_query_cubes=True),
    )


def pack(path: Path) -> None:
    """Write an NPZ anew with LZMA: smaller by a tenth or more, and `numpy.load` reads it too."""
    with zipfile.ZipFile(path) as file:
        arrays = {info.filename: file.read(info) for info in file.infolist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as file:
        for name, data in arrays.items():
            file.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_LZMA)  # no date: same each time


def _said(trace: Trace) -> str:
    return f"{trace.meta.question} {trace.meta.answer}"


if __name__ == "__main__":
    raise SystemExit(main())
