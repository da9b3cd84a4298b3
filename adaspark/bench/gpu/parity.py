"""The check that stands before every figure of a GPU: the kernels against plain PyTorch in fp32."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf, prod

import torch
from torch import Tensor

from adaspark.bench.gpu.planted_selections import Planted
from adaspark.kernels.gpu import attention as gpu_attention
from adaspark.kernels.gpu import dispatch as gpu_dispatch
from adaspark.kernels.gpu import ffn as gpu_ffn
from adaspark.kernels.gpu import loading as gpu_loading
from adaspark.kernels.gpu import tables as gpu_tables
from adaspark.kernels.gpu.bits import unpack
from adaspark.kernels.gpu.thresholds import Thresholds
from adaspark.method import attention, ffn
from adaspark.method.attention import Choice
from adaspark.method.config import AdaSparkConfig
from adaspark.method.segment import Segment
from adaspark.method.sequence import SequenceMap

GROUPS, SHARE, WIDTH = 2, 7, 128
HEADS = GROUPS * SHARE
CONFIG = AdaSparkConfig(attn_top_p=0.7, ffn_top_p=0.5)
ROUNDING = 1e-2
"""Largest RMS error over RMS output: a few roundings to bf16."""
OTHERWISE = 1e-3
"""Largest share of rows that choose otherwise: those whose margin is a rounding of fp32."""


@torch.inference_mode()
def errors(
    device: torch.device, *, grid: tuple[int, int, int] = (9, 10, 13)
) -> Iterator[tuple[str, float, float]]:
    """(what was compared, its error, the limit) of each part, on a ragged video of `grid`."""
    is_video = torch.ones(prod(grid) + 70, dtype=torch.bool, device=device)
    is_video[:40] = is_video[-30:] = False
    sequence = SequenceMap.build(is_video, [grid], (4, 4, 4))
    generator = torch.Generator(device).manual_seed(0)

    def draw(rows: int) -> Tensor:
        shape = (rows, sequence.length, WIDTH)
        return torch.randn(shape, device=device, generator=generator).bfloat16()

    qkv = (2 * draw(HEADS), draw(GROUPS), draw(GROUPS))
    yield from _chosen(sequence, qkv)
    for inflation in (1.5, 4.0):
        yield f"planted, inflation {inflation}", _planted(sequence, qkv, inflation), ROUNDING
    if device.type == "cuda" and gpu_loading.load(device).hopper is not None:
        yield "Hopper's kernel", _planted(sequence, qkv, 1.5, hopper_waves=0), ROUNDING
    yield "ffn", _ffn(sequence, qkv[2][0]), ROUNDING


def _chosen(
    sequence: SequenceMap, qkv: tuple[Tensor, Tensor, Tensor]
) -> Iterator[tuple[str, float, float]]:
    recorded: list[list[tuple[Segment, Choice]]] = [[], []]
    scale = WIDTH**-0.5
    mine = gpu_attention.sparse_attention(
        *qkv,
        sequence,
        rule=CONFIG.attention_in(0),
        scale=scale,
        observe=lambda *choice: recorded[0].append(choice),
    )
    queries, keys, values = (t.float() for t in qkv)
    plain = attention.by_tiles(
        *(queries, keys, values, sequence),
        rule=CONFIG.attention_in(0),
        scale=scale,
        observe=lambda *choice: recorded[1].append(choice),
    )
    rows = wrong = 0
    same = torch.ones(mine.shape[:2], dtype=torch.bool, device=mine.device)
    for (segment, choice), (_, other) in zip(*recorded, strict=True):
        differs = (choice.kept != other.kept).any(-1)
        same[:, segment.positions] = ~differs
        rows, wrong = rows + differs.numel(), wrong + int(differs.sum())
    yield "rows that choose otherwise", wrong / rows, OTHERWISE
    yield "attention", _relative(mine[same], plain[same]), ROUNDING


def _planted(
    sequence: SequenceMap,
    qkv: tuple[Tensor, Tensor, Tensor],
    inflation: float,
    *,
    hopper_waves: float = inf,
) -> float:
    """Planted selections through tiles and gathered rows, against a mask by position."""
    blocks = gpu_tables.KeyBlocks.of(sequence)
    planted = Planted.draw(sequence, HEADS, 0.2, inflation, max_bytes=2**30)
    ((rows, selected),) = planted.chunks
    thresholds = Thresholds(hopper_waves=hopper_waves, gather_rows=1, gather_slots=1)
    output = torch.zeros_like(qkv[0])
    source = gpu_tables.Source.of(
        qkv[1], qkv[2], blocks, copied=rows.count >= thresholds.copy_queries
    )
    gpu_dispatch.attend(qkv[0], source, output, blocks, rows, selected, WIDTH**-0.5, thresholds)
    index = torch.arange(rows.count, device=output.device)
    allowed = torch.zeros(HEADS, rows.count, sequence.length, dtype=torch.bool, device=index.device)
    cubes = sequence.layout.cube_from_token
    allowed[..., sequence.video_positions] = unpack(selected, index)[..., cubes]
    allowed[..., sequence.text_positions] = True
    seen = torch.arange(sequence.length, device=index.device) <= rows.positions[:, None]
    queries, keys, values = (t.float() for t in qkv)
    keys, values = (t.repeat_interleave(HEADS // GROUPS, 0) for t in (keys, values))
    scores = queries[:, rows.positions] @ keys.mT * WIDTH**-0.5
    weights = scores.masked_fill(~(allowed & seen), -torch.inf).softmax(-1)
    return _relative(output[:, rows.positions], weights @ values)


def _ffn(sequence: SequenceMap, hidden: Tensor) -> float:
    inputs = (hidden, hidden.float().norm(dim=-1), sequence, lambda rows: rows * rows.tanh())
    mine, kept, _ = gpu_ffn.sparse_ffn(*inputs, rule=CONFIG.ffn_in(0))
    plain, expected, _ = ffn.by_torch(*inputs, rule=CONFIG.ffn_in(0))
    return _relative(mine, plain) if torch.equal(kept, expected) else torch.inf


def _relative(found: Tensor, expected: Tensor) -> float:
    """RMS error over RMS; NaN if anything is NaN."""
    error = (found.float() - expected.float()).square().mean().sqrt()
    return float(error / expected.float().square().mean().sqrt())
