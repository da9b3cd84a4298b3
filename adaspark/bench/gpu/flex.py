"""What `adaspark bench gpu --parts flex` times: PyTorch's FlexAttention with the same mask.

FlexAttention skips blocks of 128 x 128 that no row selected, and masks others key by key. Queries
and keys are laid out cube by cube for it, as for our kernels; building its block mask is not timed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, flex_attention

from adaspark.bench.gpu.conditions import HEADS, SCALE, Arena, seconds
from adaspark.bench.gpu.planted_selections import Planted, video_sequence
from adaspark.errors import UserError
from adaspark.kernels.gpu import dispatch as gpu_dispatch
from adaspark.kernels.gpu import plan as gpu_plan
from adaspark.kernels.gpu import tables as gpu_tables
from adaspark.kernels.gpu.bits import WORD
from adaspark.kernels.gpu.rows import Rows
from adaspark.kernels.gpu.tables import KeyBlocks
from adaspark.kernels.gpu.thresholds import MEASURED

BLOCK = 128
CUBE_TOKENS, DENSITIES, INFLATIONS = 128, (0.1, 0.3), (1.0, 2.0)
LIMIT = 1e-2
"""Largest RMS difference from our kernels over RMS output."""


def flex(tokens: int, repeats: int, device: torch.device) -> list[dict[str, Any]]:
    """Milliseconds of FlexAttention and of our kernels for each planted selection.

    Raises UserError if both disagree, or if the selection takes several chunks of rows.
    """
    arena = Arena.of(tokens, device)
    sequence = video_sequence(tokens, CUBE_TOKENS, device)
    dense = min(arena.dense(repeats).values())
    found = []
    for density in DENSITIES:
        for inflation in INFLATIONS:
            drawn = Planted.draw(
                sequence, HEADS, density, inflation, max_bytes=MEASURED.selection_bytes
            )
            if len(drawn.chunks) > 1:
                raise UserError(f"{tokens} tokens are too many for one block mask: give fewer.")
            ((rows, selected),) = drawn.chunks
            blocks = KeyBlocks.of(sequence)
            theirs, places = prepared(arena, blocks, rows, selected)
            row = arena.attending(sequence, drawn.chunks, drawn.pairs, repeats)
            _compare(arena, blocks, rows, selected, theirs(), places)
            found.append(
                {
                    "flex tokens": tokens,
                    "cube": CUBE_TOKENS,
                    "density": row["density"],
                    "inflation": row["inflation"],
                    "flex ms": seconds(theirs, repeats) * 1e3,
                    "attend ms": row["attend"] * 1e3,
                    "dense ms": dense * 1e3,
                }
            )
    return found


def prepared(
    arena: Arena, blocks: KeyBlocks, rows: Rows, selected: Tensor, *, compiled: bool = True
) -> tuple[Callable[[], Tensor], Tensor]:
    """A call of FlexAttention for `rows`, and where its rows [H, R, D] stand in the sequence."""
    places = rows.places.long()
    short = -len(blocks.positions) % BLOCK
    at = torch.cat([blocks.positions, blocks.positions.new_zeros(short)])
    queries = arena.queries[:, places][None]
    keys, values = (t[:, at][None] for t in (arena.keys, arena.values))
    mask = _block_mask(blocks, rows, selected, keys.shape[2])
    attend: Any = torch.compile(flex_attention) if compiled else flex_attention

    def call() -> Tensor:
        mixed: Tensor = attend(queries, keys, values, block_mask=mask, scale=SCALE, enable_gqa=True)
        return mixed[0]

    return call, places


def _block_mask(blocks: KeyBlocks, rows: Rows, selected: Tensor, keys: int) -> BlockMask:
    slots, text_start, cubes = blocks.slots, blocks.text_start, selected.shape[2]
    tokens, video_before, text_before = blocks.tokens, rows.video_before, rows.text_before

    def allowed(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        is_text = key >= text_start
        slot = torch.where(is_text, 0, key)
        cube = torch.clamp(slot // slots, max=cubes - 1)
        attends = ((selected[head, query // WORD, cube] >> (query % WORD)) & 1) > 0
        video = attends & (tokens[slot] < video_before[query])
        return torch.where(is_text, key - text_start < text_before[query], video)

    attending_rows = gpu_plan.count_attending(selected, size=BLOCK) > 0
    short = blocks.cubes - cubes
    taken = torch.nn.functional.pad(attending_rows, (0, short)).repeat_interleave(slots, 2)
    taken = torch.nn.functional.pad(taken, (0, keys - text_start), value=True)
    taken = taken.view(*taken.shape[:2], -1, BLOCK).any(-1)
    order = taken.int().argsort(dim=-1, descending=True, stable=True).int()
    return BlockMask.from_kv_blocks(
        taken.sum(-1, dtype=torch.int32)[None],
        order[None],
        BLOCK_SIZE=BLOCK,
        mask_mod=allowed,
        seq_lengths=(rows.count, keys),
    )


def _compare(
    arena: Arena, blocks: KeyBlocks, rows: Rows, selected: Tensor, theirs: Tensor, places: Tensor
) -> None:
    ours = torch.zeros_like(arena.queries)
    source = gpu_tables.Source.of(arena.keys, arena.values, blocks, copied=True)
    gpu_dispatch.attend(arena.queries, source, ours, blocks, rows, selected, SCALE)
    error = (ours[:, places].float() - theirs.float()).square().mean().sqrt()
    share = float(error / theirs.float().square().mean().sqrt())
    if not share <= LIMIT:
        raise UserError(f"FlexAttention and our kernels differ by {share:.1e}: no figure is given.")
