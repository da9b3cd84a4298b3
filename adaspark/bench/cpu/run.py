"""`adaspark bench cpu`: LM prefill, stock with SDPA against AdaSpark, in one process.

Parity first. Conditions alternate on the same inputs, figures are medians; the thresholds are
searched so that the densities are those of the comparison. A trained model's own setting is
measured too.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from statistics import median
from time import perf_counter
from typing import Any

from torch import Tensor

from adaspark.bench.cpu.memory import peak_megabytes
from adaspark.bench.cpu.parity import TOLERANCE, largest_error
from adaspark.bench.cpu.part_timers import seconds_by_part, selection_seconds
from adaspark.bench.cpu.prompts import MODELS, SIDE, Bench
from adaspark.environment import setting
from adaspark.errors import UserError
from adaspark.figures_json import write_figures
from adaspark.kernels.cpu import loading as cpu_loading
from adaspark.method.config import DENSE, AdaSparkConfig, Cube
from adaspark.model.qwen import record, restore, sparsify
from adaspark.trace import cost
from adaspark.trace.trace import Trace

TOKENS = {
    "bundled": (1024, 2048, 4096, 4736, 8192, 16384),
    "0.3B": (1024, 2048, 4096),
}
CUBE: Cube = (4, 4, 4)
ATTENTION, FFN = (0.25, 0.10), 0.5
LOGIT_TOLERANCE = 1e-4
SHORT_SECS, MOST_TIMES = 1.5, 5
"""Where all conditions together take less, there are more rounds, at most so many times as many:
what recording takes of a short prefill is less than two medians of few differ by.
"""
TITLES = (
    ("model", 8),
    ("tokens", 7),
    ("cube", 6),
    ("attention", 10),
    ("ffn", 5),
    ("stock s", 8),
    ("ours s", 8),
    ("choose", 7),
    ("attend", 14),
    ("ffn s", 14),
    ("speed", 7),
    ("ideal", 7),
    ("share", 6),
    ("record", 7),
    ("MB", 12),
)


def run(
    *, tokens: Sequence[int] | None, repeats: int, json_path: str | None, quick: bool = False
) -> int:
    """Print the table as it grows, write the JSON; 1 and no figure where parity fails."""
    if min(tokens or [SIDE**2]) < SIDE**2 or repeats < 1:
        raise UserError(f"Give at least {SIDE**2} tokens and 1 repeat.")
    if (error := largest_error()) > TOLERANCE:
        print(f"parity failed: {error:.2e} from the reference (limit {TOLERANCE}); no figures")
        return 1
    print(f"parity: {error:.1e} from the reference")
    used = setting()
    kernels = cpu_loading.load().why
    print(json.dumps(used), kernels, sep="\n")
    print("".join(title.rjust(width + 1) for title, width in TITLES))
    rows = []
    for name in ["bundled"] if quick else MODELS:
        bench = MODELS[name]()
        for size in tokens or TOKENS[name][: 3 if quick else None]:
            found = _measure(bench, size, repeats)
            if found is None:
                print("parity failed: p = 1 differs from the stock model; no figures")
                return 1
            rows += found
    for row in rows:
        if row["speedup"] < 1:
            print(f"we lose: {_name(row)}, {row['speedup']:.2f} x stock")
    result = {"setting": used, "kernels": kernels, "repeats": repeats, "rows": rows}
    if json_path:
        write_figures(json_path, result)
    return 0


def _measure(bench: Bench, size: int, repeats: int) -> list[dict[str, Any]] | None:
    """A row for each density, and one of the model's own setting; None where the model with p = 1
    is not the stock one.
    """
    prefill = bench.prefill(size)
    restore(bench.model)
    expected = prefill()
    sparsify(bench.model, DENSE)
    if float((prefill() - expected).abs().max()) > LOGIT_TOLERANCE:
        return None
    ffn = _largest(lambda p: _traced(bench, prefill, _config(1.0, p)).ffn_density, FFN + 0.01)
    stock = peak_megabytes(bench.name, size, None)
    configs = [_of_density(bench, prefill, density, ffn) for density in ATTENTION]
    own = [] if bench.own is None else [bench.own]
    return [_row(bench, prefill, config, repeats, stock) for config in configs + own]


def _of_density(
    bench: Bench, prefill: Callable[[], Tensor], density: float, ffn: float
) -> AdaSparkConfig:
    def found(p: float) -> float:
        return _traced(bench, prefill, _config(p, ffn)).attention_density

    return _config(_largest(found, density + 0.005), ffn)


def _row(
    bench: Bench,
    prefill: Callable[[], Tensor],
    config: AdaSparkConfig,
    repeats: int,
    stock_megabytes: float,
) -> dict[str, Any]:
    trace = _traced(bench, prefill, config)
    seconds = _rounds(bench, prefill, config, repeats)
    sparsify(bench.model, config)
    with selection_seconds() as selection:
        prefill()
    medians = {
        condition: {part: median(run[part] for run in runs) for part in runs[0]}
        for condition, runs in seconds.items()
    }
    tokens = int(trace.cube_from_token.size)
    ours = peak_megabytes(bench.name, tokens, config)
    medians["adaspark"]["selection"] = selection[0]
    speedup = medians["stock"]["total"] / medians["adaspark"]["total"]
    ideal = 1 / (1 - cost.flops(trace).reduction)
    row = {
        "model": bench.name,
        "video_tokens": tokens,
        "cube": config.cube,
        "is_own": config == bench.own,
        "attn_top_p": config.attn_top_p,
        "ffn_top_p": config.ffn_top_p,
        "attention_density": trace.attention_density,
        "ffn_density": trace.ffn_density,
        "seconds": medians,
        "rounds": len(seconds["stock"]),
        "peak_megabytes": {"stock": stock_megabytes, "adaspark": ours},
        "speedup": speedup,
        "ideal": ideal,
        "share_of_ideal": speedup / ideal,
        "recording": medians["recorded"]["total"] / medians["adaspark"]["total"] - 1,
    }
    print(_line(row), flush=True)
    return row


def _rounds(
    bench: Bench, prefill: Callable[[], Tensor], config: AdaSparkConfig, repeats: int
) -> dict[str, list[dict[str, float]]]:
    """Seconds by part of each condition, round after round, in turn from either end."""
    seconds: dict[str, list[dict[str, float]]] = {"stock": [], "adaspark": [], "recorded": []}
    rounds, done, began = repeats, 0, perf_counter()
    while done < rounds:
        for condition in sorted(seconds, reverse=done % 2 == 0):
            of = None if condition == "stock" else config
            seconds[condition].append(_timed(bench, prefill, of, condition))
        done += 1
        if done == 1:
            times = SHORT_SECS / (perf_counter() - began)
            rounds = round(repeats * min(max(times, 1), MOST_TIMES))
    return seconds


def _config(attention: float, ffn: float) -> AdaSparkConfig:
    return AdaSparkConfig(CUBE, attention, ffn)


def _timed(
    bench: Bench, prefill: Callable[[], Tensor], config: AdaSparkConfig | None, condition: str
) -> dict[str, float]:
    if config is None:
        restore(bench.model)
    else:
        sparsify(bench.model, config)
    listening = record(bench.model) if condition == "recorded" else nullcontext()
    with seconds_by_part(bench.model) as seconds, listening:
        prefill()
    return seconds


def _largest(density: Callable[[float], float], limit: float) -> float:
    """The largest threshold, to 1/64, whose density does not pass the limit; 0 where none does."""
    low, high = 0.0, 1.0
    for _ in range(6):
        middle = (low + high) / 2
        low, high = (middle, high) if density(middle) <= limit else (low, middle)
    return low


def _traced(bench: Bench, prefill: Callable[[], Tensor], config: AdaSparkConfig) -> Trace:
    sparsify(bench.model, config)
    with record(bench.model) as trace:
        prefill()
    return trace


def _name(row: dict[str, Any]) -> str:
    return (
        f"{row['model']}, {row['video_tokens']} tokens, "
        f"attention density {row['attention_density']:.2f}"
    )


def _line(row: dict[str, Any]) -> str:
    stock, ours = row["seconds"]["stock"], row["seconds"]["adaspark"]
    memory = [f"{value:.0f}" for value in row["peak_megabytes"].values()]
    values = (
        row["model"],
        f"{row['video_tokens']}",
        "x".join(map(str, row["cube"])),
        f"{row['attention_density']:.2f}",
        f"{row['ffn_density']:.2f}",
        f"{stock['total']:.3f}",
        f"{ours['total']:.3f}",
        f"{ours['selection']:.3f}",
        f"{stock['attention']:.3f}>{ours['attention']:.3f}",
        f"{stock['ffn']:.3f}>{ours['ffn']:.3f}",
        f"{row['speedup']:.2f}",
        f"{row['ideal']:.2f}",
        f"{row['share_of_ideal']:.2f}",
        f"{row['recording']:+.0%}",
        ">".join(memory),
    )
    return "".join(value.rjust(width + 1) for value, (_, width) in zip(values, TITLES, strict=True))
