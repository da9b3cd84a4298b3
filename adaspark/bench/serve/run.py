"""`adaspark bench serve`: a whole request, transformers' own pipeline against the studio's.

Parity first, with the bundled model in fp32. Conditions alternate, figures are medians; the first
request of every shape, which compiles, is timed apart.
"""

from __future__ import annotations

import json
import resource
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import torch

from adaspark.bench.serve.agreement import agreement, sentence
from adaspark.bench.serve.conditions import PHASES, Ran, Request, first_logits
from adaspark.bench.serve.models import CLIP_SECS, MODELS, load, write_clip
from adaspark.bench.serve.table import nearest_to_hour
from adaspark.environment import setting
from adaspark.errors import UserError
from adaspark.figures_json import write_figures
from adaspark.kernels.cpu import loading as cpu_loading
from adaspark.kernels.gpu import loading as gpu_loading
from adaspark.method.config import DENSE, Cube

TOKENS = {"cuda": (4096, 16384, 25344, 65536, 131072), "cpu": (1024, 4096)}
WORDS = 64
OTHER_CUBES: tuple[Cube, ...] = ((4, 8, 8), (2, 4, 4))
OTHER_P = 0.35
FEATURES_LIMIT, LOGITS_LIMIT = 1e-4, 1e-3
"""Of the bundled model in fp32, whose features are of size 1 and logits of size 10. (A GPU sums in
another order where a product has other rows.)"""
CONDITIONS = ("stock", "ours", "recorded")


def run(
    *,
    tokens: Sequence[int] | None,
    repeats: int,
    quick: bool,
    json_path: str | None,
    models: Sequence[str] | None = None,
) -> int:
    """Print the figures as they come, write the JSON; 1 and no figure where parity fails."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    sizes = tokens or TOKENS[device.type][: 2 if quick else None]
    if min(sizes) < 256 or repeats < 1:
        raise UserError("Give at least 256 tokens and 1 repeat.")
    kernels = gpu_loading.load(device).why if device.type == "cuda" else cpu_loading.load().why
    with tempfile.TemporaryDirectory() as folder:
        path = write_clip(Path(folder) / "clip.mp4", seconds=60 if quick else CLIP_SECS)
        exact = torch.backends.cudnn.flags(allow_tf32=False)
        with exact:
            checked = list(parity(path, device))
        for name, error, limit in checked:
            if not error <= limit:
                print(f"parity failed: {name} {error:.2e} (limit {limit:.0e}); no figures")
                return 1
            print(f"parity: {name} {error:.1e} (limit {limit:.0e})")
        used = setting(device.type)
        rows: list[dict[str, Any]] = []
        result = {"setting": used, "kernels": kernels, "repeats": repeats, "words": WORDS}
        print(json.dumps(used), kernels, sep="\n")
        for row in _rows(models or MODELS[device.type], sizes, path, repeats, device):
            rows.append(row)
            if json_path:  # as it grows: a run that is cut short is not lost
                write_figures(json_path, {**result, "rows": rows})
    return 0


def parity(path: Path, device: torch.device) -> Iterator[tuple[str, float, float]]:
    """(what, error, limit) of the bundled model: its tower, p = 1, and answers when recorded."""
    request = Request(load(MODELS["cpu"][0], device), path, 512, 8)
    dense = request.ours(recorded=True, config=DENSE)
    assert dense.features is not None
    known = dense.features
    expected = first_logits(request.served, known, None)
    towers = (known.embeddings - _stock_features(request, known)).abs().max()
    yield "features", float(towers), FEATURES_LIMIT
    logits = first_logits(request.served, known, DENSE)
    yield "logits at p = 1", float((logits - expected).abs().max()), LOGITS_LIMIT
    recorded, silent = (request.ours(recorded=on, known=known) for on in (True, False))
    yield "answers when recorded", float(recorded.text != silent.text), 0.0


@torch.inference_mode()
def _stock_features(request: Request, known: Any) -> Any:
    from adaspark.video.clip import patchify, read_clip

    loaded = request.served.checkpoint
    clip = read_clip(request.path, request.served.sampling(request.path, request.tokens))
    pixels = patchify(clip.frames, loaded.sampling, loaded.mean, loaded.std).to(loaded.device)
    shape = [known.grid[0], *(loaded.sampling.merge * side for side in known.grid[1:])]
    grid = torch.tensor([shape], device=loaded.device)
    return loaded.model.model.visual(pixels, grid_thw=grid).pooler_output


def _rows(
    names: Sequence[str], sizes: Sequence[int], path: Path, repeats: int, device: torch.device
) -> Iterator[dict[str, Any]]:
    for name in names:
        served = load(name, device)
        usual = nearest_to_hour(sizes)
        for size in sizes:
            request = Request(served, path, size, WORDS)
            row = {"model": name, **measured(request, repeats)}
            yield _printed(row | ({"agreement": agreement(request)} if size == usual else {}))
        del served
        if device.type == "cuda":
            torch.cuda.empty_cache()


def measured(request: Request, repeats: int) -> dict[str, Any]:
    """One size: the conditions in turn, then what a visitor does next on the features at hand."""
    ways: dict[str, Callable[[], Ran]] = {
        "stock": request.stock,
        "ours": lambda: request.ours(recorded=False),
        "recorded": lambda: request.ours(recorded=True),
    }
    first = {condition: _total(ways[condition]()) for condition in CONDITIONS}
    runs: dict[str, list[Ran]] = {condition: [] for condition in CONDITIONS}
    for _ in range(repeats):
        for condition in CONDITIONS:
            runs[condition].append(ways[condition]())
    last = runs["recorded"][-1]
    assert last.trace is not None and last.features is not None
    config, known = request.served.config, last.features
    moved = replace(config, attn_top_p=OTHER_P)
    again = [_total(request.ours(recorded=True, config=moved, known=known)) for _ in range(2)]
    shapes = {}
    for cube in OTHER_CUBES:
        other = replace(config, cube=cube)
        shapes["x".join(map(str, cube))] = [
            _total(request.ours(recorded=True, config=other, known=known)) for _ in range(2)
        ]
    return {
        "video_tokens": int(last.trace.cube_from_token.size),
        "frames": len(known.times_secs),
        "config": config.to_dict(),
        "attention_density": last.trace.attention_density,
        "ffn_density": last.trace.ffn_density,
        "seconds": {condition: _medians(found) for condition, found in runs.items()},
        "first": first,
        "slider_move": min(again),
        "new_cube_shape": shapes,
        "follow_up": median(request.follow_ups(known, max(repeats, 2))[1:]),
        "peak_gigabytes": {
            condition: found[-1].peak_bytes / 1e9 for condition, found in runs.items()
        },
        "host_peak_gigabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
    }


def _medians(runs: Sequence[Ran]) -> dict[str, float]:
    phases = {phase: median(run.seconds[phase] for run in runs) for phase in PHASES}
    first = [sum(run.seconds[phase] for phase in PHASES[:3]) for run in runs]
    return {
        **phases,
        "first_word": median(first),
        "last_word": median(a + run.seconds["words"] for a, run in zip(first, runs, strict=True)),
        "whole": median(map(_total, runs)),
    }


def _total(ran: Ran) -> float:
    return sum(ran.seconds.values())


def _printed(row: dict[str, Any]) -> dict[str, Any]:
    print(
        f"{row['model']}, {row['video_tokens']:,} video tokens of {row['frames']} frames, "
        f"densities {row['attention_density']:.2f} and {row['ffn_density']:.2f}"
    )
    for condition, seconds in row["seconds"].items():
        told = "  ".join(f"{phase} {spent:.3f}" for phase, spent in seconds.items())
        print(f"  {condition:9}{told}  peak {row['peak_gigabytes'][condition]:.1f} GB", flush=True)
    shapes = "  ".join(
        f"{cube} {a:.2f} > {b:.2f}" for cube, (a, b) in row["new_cube_shape"].items()
    )
    if "agreement" in row:
        print(f"  {sentence(row['agreement'])}  {row['agreement']}")
    then = f"slider {row['slider_move']:.3f}  follow-up {row['follow_up']:.3f}"
    print(f"  {then}  shapes {shapes}  first {row['first']}", flush=True)
    return row
