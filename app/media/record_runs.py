"""`python -m app.media.record_runs`: record the gallery's runs anew, with the bundled model.

Run it after the bundled model or a sample clip has changed; a test fails until then.
"""

from __future__ import annotations

import argparse
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from adaspark.assets import BUNDLED_MODEL, TRACES
from adaspark.errors import UserError
from adaspark.model.events import Result
from adaspark.model.request import Options
from adaspark.trace.meta import Recorded, required
from adaspark.trace.trace import Trace
from adaspark.video.content import content_hash
from app.media.light_traces import lightened, pack
from app.media.recorded_runs import trace_path
from app.media.samples import Sample, read_samples, real_footage

WEIGHTS = BUNDLED_MODEL / "model.safetensors"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write one trace a clip; exit status 2 with one line if that cannot be done."""
    parser = argparse.ArgumentParser(prog="python -m app.media.record_runs", description=__doc__)
    parser.add_argument("--out", type=Path, default=TRACES, metavar="FOLDER")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="of these clips alone")
    given = parser.parse_args(arguments)
    out: Path = given.out
    try:
        from adaspark.model.engine import Engine

        engine = Engine(device="cpu")
        out.mkdir(parents=True, exist_ok=True)
        samples = _named([*read_samples(), *real_footage()], given.only)
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
    sampling = {**sample.sampling, **({"max_frames": max_frames} if max_frames else {})}
    options = Options(engine.default_config, **sampling)
    events = engine.ask(sample.path, sample.questions[0], options, stop=threading.Event())
    result = next(event for event in events if isinstance(event, Result))
    return result.trace.with_meta(recorded=Recorded(content_hash(sample.path)))


def _named(samples: Sequence[Sample], names: Sequence[str] | None) -> list[Sample]:
    """Those of these names, or all. Raises UserError if one has none."""
    if unknown := set(names or ()) - {sample.name for sample in samples}:
        raise UserError(f"There is no clip {min(unknown)!r}.")
    return [sample for sample in samples if names is None or sample.name in names]


def _said(trace: Trace) -> str:
    return f"{trace.meta.question} {trace.meta.answer}"


if __name__ == "__main__":
    raise SystemExit(main())
