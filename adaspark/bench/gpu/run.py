"""`adaspark bench gpu`: the kernels against PyTorch's best dense attention, on planted selections.

Parity first. One layer's attention of the 7B model (28 query and 4 KV heads of 128, bf16): choosing
cubes, planning and attending are timed apart, medians of one run; then its FFN and a step of
decoding. Other parts: selections of the bundled model, FlexAttention, flash-attn, a whole model's
prefill, and one as long as the memory holds.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

import torch

from adaspark.bench.gpu.planted_selections import CUBES, SIDE
from adaspark.environment import setting
from adaspark.errors import UserError
from adaspark.figures_json import write_figures
from adaspark.kernels.gpu import loading as gpu_loading

if TYPE_CHECKING:
    from adaspark.bench.gpu.conditions import Arena

FULL: dict[str, Sequence[Any]] = {
    "tokens": (8192, 16384, 32768, 65536, 131072),
    "cubes": tuple(CUBES),
    "densities": (0.05, 0.1, 0.2, 0.4),
    "inflations": (1.0, 1.5, 2.0, 4.0),
}
QUICK: dict[str, Sequence[Any]] = {
    "tokens": (8192, 32768, 131072),
    "cubes": (64, 128),
    "densities": (0.1, 0.3),
    "inflations": (1.0, 2.0),
}
TITLES = (
    ("tokens", 7),
    ("cube", 5),
    ("density", 8),
    ("inflation", 10),
    ("gathered", 9),
    ("choose ms", 10),
    ("plan ms", 8),
    ("attend ms", 10),
    ("union ms", 9),
    ("dense ms", 9),
    ("speed", 7),
    ("ideal", 7),
    ("rate/dense", 11),
    ("MB", 6),
)


def run(
    *,
    tokens: Sequence[int] | None,
    repeats: int,
    quick: bool,
    json_path: str | None,
    parts: Sequence[str],
) -> int:
    """Print the figures as they come, write the JSON; 1 and no figure if parity fails."""
    plan = QUICK if quick else FULL
    sizes = tokens or plan["tokens"]
    if any(size < 4 * SIDE**2 or size % SIDE**2 for size in sizes) or repeats < 1:
        raise UserError(f"Give multiples of {SIDE**2} tokens from {4 * SIDE**2} on, and 1 repeat.")
    if not torch.cuda.is_available():
        raise UserError("No CUDA device is here: `adaspark bench cpu` times the CPU path.")
    device = torch.device("cuda", torch.cuda.current_device())
    loaded = gpu_loading.load(device)
    if loaded.gpu is None:
        raise UserError(f"The GPU kernels cannot run here: {loaded.why}.")
    from adaspark.bench.gpu import parity  # needs Triton

    for name, error, limit in parity.errors(device):
        if not error <= limit:
            print(f"parity failed: {name} {error:.2e} (limit {limit:.0e}); no figures")
            return 1
        print(f"parity: {name} {error:.1e} (limit {limit:.0e})")
    result: dict[str, Any] = {"setting": setting("cuda"), "kernels": loaded.why, "repeats": repeats}
    print(json.dumps(result["setting"]), loaded.why, sep="\n")
    for part in parts:
        result[part] = []
        for row in _part(part, sizes, plan, repeats, device):
            result[part].append(row)
            if json_path:  # as it grows: a run that is cut short is not lost
                write_figures(json_path, result)
    for row in result.get("attention", ()):
        if row["speed"] < 1:
            print(f"we lose: {row['tokens']} tokens, {_described(row)}, {row['speed']:.2f} x dense")
    return 0


def _part(
    part: str, sizes: Sequence[int], plan: dict[str, Sequence[Any]], repeats: int, device: Any
) -> Iterator[dict[str, Any]]:
    from adaspark.bench.gpu import captured, conditions, decoding, flash_attn, flex
    from adaspark.bench.gpu import model as gpu_model

    if part == "attention":
        print("".join(title.rjust(width + 1) for title, width in TITLES))
        for size in sizes:
            yield from _attention(conditions.Arena.of(size, device), plan, repeats)
    elif part == "captured":
        rows = chain.from_iterable(captured.captured(size, repeats, device) for size in sizes)
        yield from map(_printed, rows)
    elif part == "flash":
        rows = chain.from_iterable(flash_attn.compared(size, repeats, device) for size in sizes)
        yield from map(_printed, rows)
    elif part == "flex":
        rows = chain.from_iterable(flex.flex(size, repeats, device) for size in sizes)
        yield from map(_printed, rows)
    elif part == "model":
        model = gpu_model.build(device)
        rows = chain.from_iterable(gpu_model.prefills(model, size, repeats) for size in sizes)
        yield from map(_printed, rows)
    elif part == "long":
        model = gpu_model.build(device)
        yield from (_printed(gpu_model.long_prefill(model, size)) for size in sizes)
    else:
        condition = conditions.ffn if part == "ffn" else decoding.decoding
        yield from (_printed(condition(size, repeats, device)) for size in sizes)


def _attention(
    arena: Arena, plan: dict[str, Sequence[Any]], repeats: int
) -> Iterator[dict[str, Any]]:
    dense = arena.dense(repeats)
    for cube in plan["cubes"]:
        choosing = arena.choosing(cube, repeats)
        for density in plan["densities"]:
            for inflation in plan["inflations"]:
                if density * inflation <= 1:
                    row = arena.planted(cube, density, inflation, repeats)
                    yield _line({**row, **_against(row, choosing, dense)})


def _against(row: dict[str, Any], choosing: float, dense: dict[str, float]) -> dict[str, Any]:
    """What follows from the times: speed over the best dense backend, and the ideal by pairs."""
    best = min(dense.values())
    whole = choosing + row["plan"] + row["attend"]
    return {
        "choose": choosing,
        "dense": dense,
        "speed": best / whole,
        "ideal": 1 / row["density"],
        "rate": best * row["density"] / row["attend"],
    }


def _line(row: dict[str, Any]) -> dict[str, Any]:
    values = (
        f"{row['tokens']}",
        f"{row['cube']}",
        f"{row['density']:.3f}",
        f"{row['inflation']:.2f}",
        f"{row['gathered']:.2f}",
        f"{row['choose'] * 1e3:.2f}",
        f"{row['plan'] * 1e3:.2f}",
        f"{row['attend'] * 1e3:.2f}",
        f"{row['union'] * 1e3:.2f}",
        f"{min(row['dense'].values()) * 1e3:.2f}",
        f"{row['speed']:.2f}",
        f"{row['ideal']:.1f}",
        f"{row['rate']:.2f}",
        f"{row['workspace'] / 1e6:.0f}",
    )
    cells = (v.rjust(width + 1) for v, (_, width) in zip(values, TITLES, strict=True))
    print("".join(cells), flush=True)
    return row


def _printed(row: dict[str, Any]) -> dict[str, Any]:
    print("  ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items()))
    return row


def _described(row: dict[str, Any]) -> str:
    return f"cubes of {row['cube']}, density {row['density']:.2f}, inflation {row['inflation']:.1f}"
