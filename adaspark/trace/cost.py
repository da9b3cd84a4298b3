"""FLOPs by arithmetic: from a Trace, or from densities.

2 FLOPs a multiply-add; SwiGLU with 3 matrices; GQA; causal pairs only, the diagonal included; the
same formulas for dense and sparse. Counted: the language model's layers in prefill, and the vision
tower apart. Not counted: embedding, lm_head, normalisation, softmax, rotary embedding.

The method counts choosing at p = 1 too (its sixth law), of a half alone as well, although nothing
is then computed for it. The untouched model, with which evaluations compare, counts none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from adaspark.errors import UserError
from adaspark.method.config import AdaSparkConfig
from adaspark.trace.flops import Flops, Parts
from adaspark.trace.trace import Trace

SHAPE = ("layers", "hidden", "intermediate", "heads", "kv_heads", "head_dim")
"""What a language model's shape must say."""


@dataclass(frozen=True)
class Counts:
    """Counts of one prefill.

    `tokens`, of which `text_tokens` are text, are of one layer; pairs are (query, key) pairs and
    `weighed_pairs` (query, candidate cube) pairs, summed over layers and heads;
    `passed_video_tokens` went through the FFN, summed over layers.
    """

    tokens: int
    text_tokens: int
    causal_pairs: float
    computed_pairs: float
    executed_pairs: float
    weighed_pairs: float
    passed_video_tokens: float


def flops(
    source: Trace | Mapping[str, int],
    *,
    video_tokens: int = 0,
    text_tokens: int = 0,
    attention_density: float = 1.0,
    ffn_density: float = 1.0,
    cubes: int = 0,
    vision: float = 0.0,
) -> Flops:
    """Count a prefill: `flops(trace)`, or by arithmetic from the language model's shape.

    The shape is a mapping with `layers, hidden, intermediate, heads, kv_heads, head_dim`, and with
    `attention_layers` and `mixer_flops` (among the projections) where some have none; with it go
    the token counts, the two densities and the number of cubes (for the cost of choosing: each
    token is taken to weigh half of them, as a causal video does). `vision` FLOPs (`vision_flops`)
    are added if given. Raises UserError for a trace of no video, a shape that lacks a number, a
    density that is not from 0 to 1 and a count below 0.
    """
    if isinstance(source, Trace):
        return _from_trace(source)
    _check(source, (attention_density, ffn_density), (video_tokens, text_tokens, cubes, vision))
    layers, tokens = source["layers"], video_tokens + text_tokens
    rows = attention_layers(source) * source["heads"]
    pairs = rows * tokens * (tokens + 1) / 2
    counts = Counts(
        tokens=tokens,
        text_tokens=text_tokens,
        causal_pairs=pairs,
        computed_pairs=attention_density * pairs,
        executed_pairs=attention_density * pairs,
        weighed_pairs=rows * (video_tokens / 2 + text_tokens) * cubes,
        passed_video_tokens=layers * ffn_density * video_tokens,
    )
    return flops_of(source, counts, vision=vision, chooses=bool(cubes))


def _check(shape: Any, densities: tuple[float, ...], counts: tuple[float, ...]) -> None:
    lacking = [n for n in SHAPE if not isinstance(shape, Mapping) or n not in shape]
    if lacking:
        raise UserError(
            "FLOPs are counted of a trace, or of a model's shape: a mapping with "
            f"{', '.join(SHAPE)}; it lacks {', '.join(lacking)}."
        )
    if not all(0 <= density <= 1 for density in densities):
        raise UserError(f"Densities are numbers from 0 to 1, got {densities}.")
    if not all(count >= 0 for count in counts):
        raise UserError(f"Tokens, cubes and FLOPs are counted from 0, got {counts}.")


def _from_trace(trace: Trace) -> Flops:
    if trace.meta.counts is None:
        raise UserError("This trace holds no prompt with a video, so there is nothing to count.")
    known = trace.meta.counts
    counts = Counts(
        tokens=known.tokens,
        text_tokens=known.text_tokens,
        causal_pairs=float(trace.causal_pairs.sum()),
        computed_pairs=float(trace.computed_pairs.sum()),
        executed_pairs=float(trace.executed_pairs.sum()),
        weighed_pairs=known.weighed_pairs,
        passed_video_tokens=float(trace.ffn_mask().sum()),
    )
    vision = trace.meta.vision_flops or 0.0
    return flops_of(trace.meta.shape, counts, trace.meta.config, vision=vision)


def flops_of(
    shape: Mapping[str, int],
    counts: Counts,
    config: AdaSparkConfig | None = None,
    *,
    vision: float = 0.0,
    chooses: bool = True,
) -> Flops:
    """FLOPs of exact counts. Choosing is free in the halves that choose blindly, according to
    `config`.
    """
    config = config or AdaSparkConfig()
    passed = shape["layers"] * counts.text_tokens + counts.passed_video_tokens
    choosing = _choosing(shape, counts, config) if chooses else 0.0
    dense = _parts(shape, counts.tokens, counts.causal_pairs, shape["layers"] * counts.tokens)
    sparse = _parts(shape, counts.tokens, counts.computed_pairs, passed, choosing)
    executed = _parts(shape, counts.tokens, counts.executed_pairs, passed, choosing)
    return Flops(dense, sparse, executed, vision)


def _parts(
    shape: Mapping[str, int],
    tokens: float,
    pairs: float,
    ffn_tokens: float,
    choosing: float = 0.0,
) -> Parts:
    """`pairs` and `ffn_tokens` are summed over layers (and heads), `tokens` is of one layer."""
    hidden, width = shape["hidden"], shape["head_dim"]
    projected = (2 * (shape["heads"] + shape["kv_heads"]) + shape.get("gate_heads", 0)) * width
    attending = attention_layers(shape)
    mixers = float(shape.get("mixer_flops", 0) * (shape["layers"] - attending) * tokens)
    return Parts(
        projections=2.0 * attending * tokens * hidden * projected + mixers,
        attention=4.0 * width * pairs,
        ffn=6.0 * hidden * shape["intermediate"] * ffn_tokens,
        choosing=choosing,
    )


def attention_layers(shape: Mapping[str, int]) -> int:
    """How many layers have attention: all, unless the shape says otherwise."""
    return shape.get("attention_layers", shape["layers"])


def _choosing(shape: Mapping[str, int], counts: Counts, config: AdaSparkConfig) -> float:
    """q x mean key for every (query, head, candidate), the means, and the FFN's norms."""
    width, video = shape["head_dim"], counts.tokens - counts.text_tokens
    means = attention_layers(shape) * video * shape["kv_heads"] * width
    cubes = 2.0 * width * counts.weighed_pairs + means
    norms = 2.0 * shape["layers"] * video * shape["hidden"]
    weighs_cubes, weighs_tokens = (
        not rule.is_blind for rule in (config.attention_in(0), config.ffn_in(0))
    )
    return cubes * weighs_cubes + norms * weighs_tokens


def vision_flops(vision_config: Any, grid: tuple[int, int, int]) -> float:
    """FLOPs of a Qwen vision tower for one video of (T, H, W) merged tokens.

    Qwen2.5-VL attends in windows but for a few layers and has a gated FFN; the others attend to
    whole slices and have a plain one.
    """
    slices, rows, columns = grid
    merge = vision_config.spatial_merge_size**2
    patches = slices * rows * columns * merge
    width = getattr(vision_config, "embed_dim", None) or vision_config.hidden_size
    patch = vision_config.in_channels * vision_config.temporal_patch_size
    embed = 2.0 * patches * width * patch * vision_config.patch_size**2
    linear = (
        2.0 * patches * (4 * width**2 + _vision_ffn(vision_config, width)) * vision_config.depth
    )
    pairs = slices * _vision_pairs(vision_config, rows, columns)
    out = getattr(vision_config, "out_hidden_size", None) or vision_config.hidden_size
    mergers = 1 + len(getattr(vision_config, "deepstack_visual_indexes", None) or ())
    merger = 2.0 * slices * rows * columns * ((merge * width) ** 2 + merge * width * out)
    return float(embed + linear + 4.0 * width * pairs + mergers * merger)


def _vision_ffn(vision_config: Any, width: int) -> int:
    """Multiply-adds of the tower's FFN, a patch and layer."""
    if hasattr(vision_config, "mlp_ratio"):
        return int(2 * width * width * vision_config.mlp_ratio)
    matrices = 3 if hasattr(vision_config, "fullatt_block_indexes") else 2
    return int(matrices * width * vision_config.intermediate_size)


def _vision_pairs(vision_config: Any, rows: int, columns: int) -> float:
    """(query, key) pairs of one slice and head, over all layers."""
    merge, depth = vision_config.spatial_merge_size**2, int(vision_config.depth)
    in_slice = float((rows * columns * merge) ** 2)
    if not hasattr(vision_config, "fullatt_block_indexes"):
        return depth * in_slice
    full = len(vision_config.fullatt_block_indexes)
    side = vision_config.window_size // vision_config.spatial_merge_size // vision_config.patch_size
    in_windows = float(
        sum((a * b * merge) ** 2 for a in _runs(rows, side) for b in _runs(columns, side))
    )
    return full * in_slice + (depth - full) * in_windows


def _runs(length: int, side: int) -> list[int]:
    """How windows of `side` cut a length: full ones and the rest."""
    return [min(side, length - start) for start in range(0, length, side)]
