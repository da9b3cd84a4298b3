"""Recorded runs: what the page shows before a model is loaded, or without one.

Each is a Trace in `assets/traces`, named as its clip and bound to it by the clip's hash; they are
written by `python -m app.media.record_runs`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

from adaspark.assets import TRACES
from adaspark.errors import UserError
from adaspark.model.events import Result
from adaspark.model.request import Estimate
from adaspark.trace.meta import required
from adaspark.trace.trace import Trace
from adaspark.video.content import content_hash
from adaspark.video.probe import probe
from app.media.opened_traces import open_trace
from app.media.samples import Sample

log = logging.getLogger(__name__)


def trace_path(sample: Sample, folder: Path = TRACES) -> Path:
    """Where the recorded run of a clip lies."""
    return folder / f"{sample.name}.npz"


def read_gallery(samples: Iterable[Sample], folder: Path = TRACES) -> dict[str, Result]:
    """The recorded runs by the clips' names; a clip without one that fits it is left out."""
    found = {}
    for sample in samples:
        try:
            found[sample.name] = _read(sample, trace_path(sample, folder))
        except UserError as error:
            log.warning("%s", error)
    return found


def read_runs(folder: Path) -> tuple[list[Sample], dict[str, Result]]:
    """Recorded runs of real models: each NPZ of a folder that has its clip, an MP4 of the same
    name, beside it, as a sample clip with its run. What cannot be read is left out.
    """
    samples, runs = [], {}
    for path in sorted(folder.glob("*.npz")):
        clip = path.with_suffix(".mp4")
        try:
            if not clip.is_file():
                raise UserError(f"{path.name} has no clip beside it: put {clip.name} there.")
            trace = open_trace(path, path.name)
            question = required(trace.meta.question, "question")
        except UserError as error:
            log.warning("%s", error)
            continue
        name = f"run-{path.stem}"
        note = f"Recorded with {trace.meta.model or 'another model'} on {trace.meta.device}."
        samples.append(Sample(name, path.stem, clip, (question,), note=note))
        runs[name] = result_of(trace)
    return samples, runs


def result_of(trace: Trace, answer: str = "") -> Result:
    """The run as one that has just ended; `answer` where the trace does not name its own."""
    seconds = {phase: secs for phase, secs in trace.meta.seconds.items() if secs is not None}
    return Result(trace.meta.answer or answer, trace, seconds)


def recorded_estimate(sample: Sample, result: Result) -> Estimate:
    """What the engine would estimate of the clip, known without it."""
    meta = result.trace.meta
    clip = required(meta.clip, "clip")
    return Estimate(
        probe(sample.path),
        meta.grids[0],
        frames=required(clip.frames, "frames"),
        shown_width=required(clip.shown_width, "sizes"),
        shown_height=required(clip.shown_height, "sizes"),
    )


def _read(sample: Sample, path: Path) -> Result:
    if not path.exists():
        raise UserError(f"{sample.title} has no recorded run: python -m app.media.record_runs.")
    trace = Trace.load(path)
    recorded = trace.meta.recorded
    if recorded is None or recorded.clip_sha256 != content_hash(sample.path):
        raise UserError(
            f"{path.name} was recorded of another clip: python -m app.media.record_runs."
        )
    return result_of(trace)
