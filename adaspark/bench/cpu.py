"""`adaspark bench cpu`: LM prefill of the bundled model, stock with SDPA against AdaSpark.

One run, alternating, medians of the same inputs: a SparkWorld clip long enough for the tokens
asked for. The thresholds are searched so that the densities are those of the comparison.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from adaspark import checkpoint, cost
from adaspark.bench.parity import MERGE_ONLY, TILES_ONLY, TOLERANCE, largest_error, merge_cost
from adaspark.bench.setting import setting
from adaspark.config import DENSE, AdaSparkConfig, Cube
from adaspark.errors import UserError
from adaspark.features import encode
from adaspark.prompt import VIDEO, build_prompt
from adaspark.qwen import record, restore, sparsify
from adaspark.trace import Trace
from adaspark.video import Sampling, probe, token_grid

DEFAULT_TOKENS = (1024, 2048, 4096, 8192)
CUBE: Cube = (4, 4, 4)
TOKENS_PER_SLICE = 64  # 224 x 224 pixels
MOST_ATTENTION, FFN = 0.25, 0.5
LOGIT_TOLERANCE = 1e-4


def run(*, tokens: Sequence[int] | None, repeats: int, json_path: str | None) -> int:
    """Print the table, write the JSON; 1 and no figure where parity fails."""
    sizes = tokens or DEFAULT_TOKENS
    if min(sizes) < TOKENS_PER_SLICE or repeats < 1:
        raise UserError(f"Give at least {TOKENS_PER_SLICE} tokens and 1 repeat.")
    if (error := largest_error()) > TOLERANCE:
        print(f"parity failed: {error:.2e} from the reference (limit {TOLERANCE}); no figures")
        return 1
    print(f"parity: {error:.1e} from the reference")
    loaded = checkpoint.load(device="cpu")
    rows = []
    for size in sizes:
        row = _measure(loaded, size, repeats)
        if row is None:
            print("parity failed: p = 1 differs from the stock model; no figures")
            return 1
        rows.append(row)
        print(_line(row), flush=True)
    result = {"setting": setting(), "repeats": repeats, "cube": CUBE, "rows": rows}
    print(json.dumps(result["setting"]))
    if json_path:
        Path(json_path).write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0


@torch.inference_mode()
def _measure(loaded: checkpoint.Checkpoint, size: int, repeats: int) -> dict[str, Any] | None:
    prefill, video_tokens = _prepared(loaded, size)
    restore(loaded.model)
    expected = prefill()
    sparsify(loaded.model, DENSE)
    if float((prefill() - expected).abs().max()) > LOGIT_TOLERANCE:
        return None
    config, trace = _searched(loaded, prefill)
    arms: dict[str, tuple[AdaSparkConfig | None, float | None]] = {
        "stock": (None, None),
        "adaspark": (config, None),
        "attention_only": (AdaSparkConfig(CUBE, config.attn_top_p, 1.0), None),
        "ffn_only": (AdaSparkConfig(CUBE, 1.0, config.ffn_top_p), None),
        "key_cubes": (config, MERGE_ONLY),
        "tiles": (config, TILES_ONLY),
    }
    seconds: dict[str, list[float]] = {name: [] for name in arms}
    seconds["recorded"] = []
    for _ in range(repeats):
        for name, (arm, backend) in arms.items():
            seconds[name].append(_timed(loaded.model, prefill, arm, backend))
        sparsify(loaded.model, config)
        with record(loaded.model):
            seconds["recorded"].append(_once(prefill))
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    counted = cost.flops(trace)
    return {
        "video_tokens": video_tokens,
        "attn_top_p": config.attn_top_p,
        "ffn_top_p": config.ffn_top_p,
        "attention_density": trace.attention_density,
        "ffn_density": trace.ffn_density,
        "seconds": medians,
        "speedup": medians["stock"] / medians["adaspark"],
        "ideal": 1 / (1 - counted.reduction),
    }


def _timed(
    model: Any, prefill: Callable[[], Any], config: AdaSparkConfig | None, backend: float | None
) -> float:
    if config is None:
        restore(model)
    else:
        sparsify(model, config)
    if backend is None:
        return _once(prefill)
    with merge_cost(backend):
        return _once(prefill)


def _once(prefill: Callable[[], Any]) -> float:
    start = time.perf_counter()
    prefill()
    return time.perf_counter() - start


def _prepared(loaded: checkpoint.Checkpoint, size: int) -> tuple[Callable[[], torch.Tensor], int]:
    """A prefill of about `size` video tokens, on vision features of a clip made for it."""
    from adaspark.mini.clips import make_world

    frames = 2 * (size // TOKENS_PER_SLICE)
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder) / "clip.mp4"
        made = make_world("needle", max(4, frames), 10_000_001, clip)
        sampling = Sampling(fps=4, max_frames=max(4, frames), min_pixels=224**2, max_pixels=224**2)
        grid = token_grid(probe(clip), sampling)
        features, _ = encode(loaded, clip, grid, sampling, lambda *_: None)
    question = made["items"][0]["question"]
    prompt = build_prompt(loaded.tokenizer, question, grid, position_step=1.0)
    embeds = loaded.model.get_input_embeddings()(prompt.input_ids)
    embeds[prompt.token_types == VIDEO] = features.embeddings
    merge = sampling.merge
    call = {
        "inputs_embeds": embeds,
        "position_ids": prompt.position_ids,
        "mm_token_type_ids": prompt.token_types,
        "video_grid_thw": torch.tensor([[grid[0], grid[1] * merge, grid[2] * merge]]),
        "logits_to_keep": 1,
    }
    return lambda: loaded.model(**call).logits, grid[0] * grid[1] * grid[2]


def _searched(
    loaded: checkpoint.Checkpoint, prefill: Callable[[], Any]
) -> tuple[AdaSparkConfig, Trace]:
    """The largest thresholds whose densities do not pass those of the comparison."""
    ffn = _largest(lambda p: _traced(loaded, prefill, DENSE.attn_top_p, p).ffn_density, FFN + 0.01)
    attention = _largest(
        lambda p: _traced(loaded, prefill, p, ffn).attention_density, MOST_ATTENTION
    )
    return AdaSparkConfig(CUBE, attention, ffn), _traced(loaded, prefill, attention, ffn)


def _largest(density: Callable[[float], float], limit: float) -> float:
    low, high = 0.0, 1.0
    for _ in range(6):
        middle = (low + high) / 2
        low, high = (middle, high) if density(middle) <= limit else (low, middle)
    return low


def _traced(
    loaded: checkpoint.Checkpoint, prefill: Callable[[], Any], attention: float, ffn: float
) -> Trace:
    sparsify(loaded.model, AdaSparkConfig(CUBE, attention, ffn))
    with record(loaded.model) as trace:
        prefill()
    return trace


def _line(row: dict[str, Any]) -> str:
    seconds = "  ".join(f"{name} {value:.2f}" for name, value in row["seconds"].items())
    return (
        f"{row['video_tokens']:6} video tokens  attention {row['attention_density']:.2f} "
        f"(p {row['attn_top_p']:.2f})  ffn {row['ffn_density']:.2f}  "
        f"{row['speedup']:.2f} x stock of {row['ideal']:.2f} x ideal  |  {seconds} s"
    )
