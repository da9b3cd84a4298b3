"""AdaS-FFN on tensors: the tokens that matter in each cube pass, the rest move by their mean.

Source: the paper's token-selective FFN with mean compensation. Axes: N tokens, V video tokens,
C cubes, M tokens of a full cube, h hidden size.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from adaspark.layout import CubeLayout
from adaspark.selection import nucleus
from adaspark.sequence import SequenceMap


def importance(norms: Tensor, layout: CubeLayout) -> Tensor:
    """Share of its cube's L2 norm that each video token holds: fp32 [V] from fp32 [V].

    A cube whose tokens are all zero shares evenly.
    """
    norms = norms + torch.finfo(norms.dtype).tiny
    sums = norms.new_zeros(layout.cubes).index_add(0, layout.cube_from_token, norms)
    return norms / sums[layout.cube_from_token]


def choose_tokens(weights: Tensor, layout: CubeLayout, *, top_p: float) -> Tensor:
    """bool [V]: the fewest tokens of each cube whose importance reaches `top_p`, at least one."""
    table = layout.tokens_from_cube
    valid = table >= 0
    if not len(table):
        return torch.zeros_like(weights, dtype=torch.bool)
    rows = weights[table.clamp_min(0)].masked_fill(~valid, 0.0)
    kept = nucleus(rows, top_p, candidates=valid)
    kept[torch.arange(len(rows), device=rows.device), rows.argmax(-1)] = True
    mask = torch.zeros_like(weights, dtype=torch.bool)
    mask[table[valid]] = kept[valid]
    return mask


def sparse_ffn(
    hidden: Tensor,
    norms: Tensor,
    sequence: SequenceMap,
    branch: Callable[[Tensor], Tensor],
    *,
    top_p: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """The FFN branch of every token, computed for text and for the chosen video tokens only.

    `hidden` [N, h] enters `branch` (the MLP; `hidden` is its normalised input), `norms` fp32 [N]
    are the L2 norms of the residual stream before that normalisation. Returns the branch's output
    [N, h], the kept mask bool [V] and the importance fp32 [V].
    """
    layout = sequence.layout
    weights = importance(norms[sequence.video_positions], layout)
    kept = choose_tokens(weights, layout, top_p=top_p)
    chosen = sequence.video_positions[kept]
    text = sequence.text_positions
    computed = branch(hidden.index_select(0, torch.cat([text, chosen])))
    passed = computed[len(text) :]
    means = _cube_means(passed, layout.cube_from_token[kept], layout.cubes)
    skipped = means.to(computed.dtype)[layout.cube_from_token[~kept]]
    output = computed.new_zeros(hidden.shape).index_copy(0, text, computed[: len(text)])
    output = output.index_copy(0, chosen, passed)
    return output.index_copy(0, sequence.video_positions[~kept], skipped), kept, weights


def _cube_means(rows: Tensor, cube_from_row: Tensor, cubes: int) -> Tensor:
    """fp32 [C, h]: mean of the rows of each cube; every cube has one at least."""
    sums = torch.zeros(cubes, rows.shape[1], dtype=torch.float32, device=rows.device)
    counts = torch.bincount(cube_from_row, minlength=cubes)
    return sums.index_add(0, cube_from_row, rows.float()) / counts[:, None]
