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
from adaspark.model.request import Estimate, Result
from adaspark.trace.meta import required
from adaspark.trace.trace import Trace
from adaspark.video.clip import content_hash, probe
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
    seconds = {phase: secs for phase, secs in trace.meta.seconds.items() if secs is not None}
    return Result(trace.meta.answer or "", trace, seconds)
