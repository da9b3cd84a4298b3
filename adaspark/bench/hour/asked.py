"""One question about a long video in a process of its own, with the memory that each phase took.

Memory is what the process has in its main store (resident) at its peak, above what it had when the
model was loaded.
"""

from __future__ import annotations

import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from adaspark.bench.memory import peak_kilobytes, reset_peak, resident_kilobytes

QUESTION = "what color is the square ?"
BUNDLED = "mini"
MAX_PIXELS = 112 * 112
"""Of a frame, so that 3,600 of 720p take 27,000 tokens of the 32,768 that the bundled model holds;
full-size ones are shown frames as they want them."""
FEW = 64


def asked(path: Path, frames: int, seconds: int, features: Path, model: str) -> dict[str, Any]:
    """Ask `model`, the bundled one or one of `SHAPES`, about `frames` frames, evenly out of
    `seconds` of a file; what it took.
    """
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(_asked, path, frames, seconds, features, model).result()


def few_frames(path: Path) -> dict[str, float]:
    """Seconds to read a file's index, and then to decode 64 frames out of it; of the clock and, as
    others may be at work, of the processors.
    """
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(_few_frames, path).result()


def _engine(model: str, features: Path) -> Any:
    """The bundled model on a CPU; a full-size one of random weights on a GPU, if there is one."""
    import torch

    from adaspark.bench.serve.models import load
    from adaspark.model.engine import Engine

    if model == BUNDLED:
        return Engine(device="cpu", features_folder=features)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return Engine(load(model, device).checkpoint, features_folder=features)


def _asked(path: Path, frames: int, seconds: int, features: Path, model: str) -> dict[str, Any]:
    import torch

    from adaspark.progress import with_time_left
    from viz.report.page import report

    engine = _engine(model, features)
    before = resident_kilobytes()
    reset_peak()
    start, used = time.perf_counter(), time.process_time()
    options = engine.options(
        fps=frames / seconds,
        max_frames=frames,
        max_pixels=MAX_PIXELS if model == BUNDLED else None,
        max_new_tokens=8,
    )
    peaks: dict[str, float] = {}
    last: Any = None
    for last in with_time_left(engine.ask(path, QUESTION, options)):
        if (name := getattr(last, "name", None)) is not None:
            peaks[name] = (peak_kilobytes() - before) / 2**10
    trace, answered = last.trace, time.perf_counter()
    whole, processor = answered - start, time.process_time() - used
    peak = (peak_kilobytes() - before) / 2**10
    page = report(trace)
    return {
        "model": model,
        "frames": trace.frame_times.size,
        "video_tokens": len(trace.cube_from_token),
        "cubes": len(trace.bounds),
        "attention_density": trace.attention_density,
        "ffn_density": trace.ffn_density,
        "seconds": {**last.seconds, "whole": whole, "page": time.perf_counter() - answered},
        "processor_seconds": processor,
        "peak_megabytes": peak,
        "peak_megabytes_until": peaks,
        "model_megabytes": before / 2**10,
        "device": engine.device,
        "device_peak_gigabytes": torch.cuda.max_memory_allocated() / 1e9,
        "page_megabytes": len(page.encode()) / 2**20,
        "answer": last.answer,
        "warnings": trace.meta.warnings,
    }


def _few_frames(path: Path) -> dict[str, float]:
    from adaspark.video.clip import Sampling, probe, stream_frames

    clock, used = [time.perf_counter()], [time.process_time()]

    def stamp() -> None:
        clock.append(time.perf_counter())
        used.append(time.process_time())

    probe(path)
    stamp()
    chunks = stream_frames(path, Sampling(max_frames=FEW, max_pixels=4 * MAX_PIXELS, min_pixels=1))
    read = sum(len(chunk.times_secs) for chunk in chunks)
    stamp()
    assert read == FEW, f"{read} frames instead of {FEW}"
    return {
        "scan": clock[1] - clock[0],
        "frames": clock[2] - clock[1],
        "processor_scan": used[1] - used[0],
        "processor_frames": used[2] - used[1],
    }
