"""AdaS-FFN on tensors: the tokens that matter in each cube pass, the rest move by their mean.

Source: the paper's token-selective FFN with mean compensation. Axes: N tokens, V video tokens,
C cubes, M tokens of a full cube, h hidden size.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from adaspark.method.layout import CubeLayout, mean_by_cube
from adaspark.method.rules import Rule
from adaspark.method.selection import keep_tokens
from adaspark.method.token_positions import TokenPositions

Outcome = tuple[Tensor, Tensor, Tensor]
"""The branch's output [N, h], the kept mask bool [V], the importance fp32 [V]."""


def norms_of(hidden: Tensor) -> Tensor:
    """L2 norms fp32 [...] of the rows of [..., h], without an fp32 copy of them."""
    dtype = torch.promote_types(hidden.dtype, torch.float32)
    norms: Tensor = torch.linalg.vector_norm(hidden, dim=-1, dtype=dtype)
    return norms.float()


def importance(norms: Tensor, layout: CubeLayout) -> Tensor:
    """Share of its cube's L2 norm that each video token holds: fp32 [..., V] from fp32 [..., V].

    A cube whose tokens are all zero shares evenly.
    """
    norms = norms + torch.finfo(norms.dtype).tiny
    sums = norms.new_zeros(*norms.shape[:-1], layout.cubes)
    return norms / sums.index_add(-1, layout.cube_from_token, norms)[..., layout.cube_from_token]


def choose_tokens(weights: Tensor, layout: CubeLayout, *, rule: Rule) -> Tensor:
    """bool [..., V]: the tokens of each cube that pass, at least one; `weights` fp32 [..., V]."""
    table = layout.tokens_from_cube
    kept = keep_tokens(weights[..., table.clamp_min(0)], table >= 0, rule)
    return kept.flatten(-2)[..., layout.slot_from_token]


def by_torch(
    hidden: Tensor,
    norms: Tensor,
    sequence: TokenPositions,
    branch: Callable[[Tensor], Tensor],
    *,
    rule: Rule,
    skipped: str = "mean",
) -> Outcome:
    """AdaS-FFN by PyTorch's operators alone: any device, differentiable.

    `hidden` [N, h] enters `branch` (the MLP; `hidden` is its normalised input), `norms` fp32 [N]
    are the L2 norms by which tokens are weighed: those of the residual stream before that
    normalisation, or of `hidden`. A `skipped` token gets the
    `mean` of its cube's outputs, or zero (`bypass`). Returns the branch's output
    [N, h], the kept mask bool [V] and the importance fp32 [V].
    """
    layout = sequence.layout
    weights = importance(norms[sequence.video_positions], layout)
    kept = choose_tokens(weights, layout, rule=rule)
    chosen = sequence.video_positions[kept]
    text = sequence.text_positions
    computed = branch(hidden.index_select(0, torch.cat([text, chosen])))
    passed = computed[len(text) :]
    output = computed.new_zeros(hidden.shape).index_copy_(0, text, computed[: len(text)])
    output.index_copy_(0, chosen, passed)
    if skipped == "mean":
        cube_from_row = layout.cube_from_token[kept]
        counts = torch.bincount(cube_from_row, minlength=layout.cubes)
        means = mean_by_cube(passed, cube_from_row, counts)
        moved = means.to(computed.dtype)[layout.cube_from_token[~kept]]
        output.index_copy_(0, sequence.video_positions[~kept], moved)
    return output, kept, weights


def inertia(moved: Tensor, norms: Tensor) -> Tensor:
    """How far the FFN moves each token: fp32 [..., N], the L2 norms of its output, `moved`, over
    those of the residual stream that entered the block (the paper's Fig. 1b).
    """
    return moved / norms.clamp_min(torch.finfo(norms.dtype).tiny)
