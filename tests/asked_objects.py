"""Which cubes of a bundled sample hold what its recorded question asks about: known from its scene.

`python -m tests.asked_objects` prints how much of what the page first lights lies on it.
"""

from __future__ import annotations

import json

import numpy as np
import torch

from adaspark.assets import SAMPLES, TRACES
from adaspark.mini.world.clips import draw_world
from adaspark.mini.world.samples import SAMPLES as MADE
from adaspark.mini.world.scene_tensors import tabulate
from adaspark.mini.world.truth import token_truth
from adaspark.trace.trace import Trace
from viz.data.scene import scene
from viz.data.statistics import TraceView

NAMES = sorted(path.stem for path in SAMPLES.glob("*.mp4"))
WORLDS = {sample.name: sample.world for sample in MADE}
DRAWN = ("size", "depth", "fps")
"""Options of a clip's making that decide its scene."""
EVERYTHING = "count"
"""The family that asks about every object."""


def recorded(name: str) -> Trace:
    """The recorded run of a sample."""
    return Trace.load(TRACES / f"{name}.npz")


def cubes_asked_about(name: str) -> np.ndarray:
    """bool [C]: the cubes of a sample's recorded run that hold an object asked about."""
    trace, notes = recorded(name), json.loads((SAMPLES / f"{name}.json").read_text("utf-8"))
    family = notes["items"][0]["family"]
    frames = trace.frame_times.size
    how = {option: value for option, value in WORLDS[name].items() if option in DRAWN}
    scene, (question, *_) = draw_world(family, frames, notes["seed"], **how)
    assert question.text.replace("colour", "color") == trace.meta.question
    times = torch.from_numpy(trace.frame_times.reshape(1, -1)).float()
    truth = token_truth(tabulate([scene]), times, scene.size)[0]
    events = question.events if family == EVERYTHING else (question.event,)
    tokens = truth[..., list(events)].any(-1).flatten().numpy()
    held: np.ndarray = np.bincount(trace.cube_from_token, tokens, len(trace.bounds)) > 0
    return held


def lit_first(name: str) -> tuple[int, np.ndarray]:
    """The slice that a sample opens at, and bool [C] of the cubes that are lit while it plays."""
    trace = recorded(name)
    place = scene(trace)["opening"]
    row = place["word"] - 1  # the answer's first word is the output of the query before it
    share = TraceView(trace).drawn.trace.word_mask()[place["layer"], row].mean(0)
    return place["slice"], share >= place["threshold"]


def main() -> None:
    """Print a line a sample."""
    for name in NAMES:
        held, (slice_, lit) = cubes_asked_about(name), lit_first(name)
        bounds = recorded(name).bounds
        here = lit & (bounds[:, 1] <= slice_) & (slice_ < bounds[:, 2])
        print(
            f"{name:14} first view {held[here].mean():4.0%} of {here.sum()} cubes, "
            f"while it plays {held[lit].mean():4.0%} of {lit.sum()}; by lot {held.mean():4.0%}"
        )


if __name__ == "__main__":
    main()
