"""The FFN's error from skipping tokens, per layer: with the cube's mean, and with nothing instead.

Axes: L layers, B clips, V video tokens, C cubes, h hidden size.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from adaspark.method.config import AdaSparkConfig
from adaspark.method.ffn import choose_tokens, importance
from adaspark.method.layout import CubeLayout


@dataclass(eq=False)
class Branches:
    """FFN calls in the order in which they were made: the residual stream before each, and what the
    branch returned, both [B, rows, h].
    """

    inputs: list[Tensor] = field(default_factory=list)
    outputs: list[Tensor] = field(default_factory=list)

    def take(self, layers: int) -> tuple[Tensor, Tensor]:
        """Inputs and outputs [L, B, rows, h] of the first pass; forgets all others."""
        first = torch.stack(self.inputs[:layers]), torch.stack(self.outputs[:layers])
        self.inputs.clear()
        self.outputs.clear()
        return first


@contextmanager
def recording_branches(model: Any) -> Iterator[Branches]:
    """Record the language model's FFN calls inside the block."""
    branches, hooks = Branches(), []
    for layer in model.model.language_model.layers:
        norm, mlp = layer.post_attention_layernorm, layer.mlp
        hooks += [
            norm.register_forward_pre_hook(lambda _, given: branches.inputs.append(given[0])),
            mlp.register_forward_hook(lambda _, __, output: branches.outputs.append(output)),
        ]
    try:
        yield branches
    finally:
        for hook in hooks:
            hook.remove()


@dataclass(frozen=True, eq=False)
class SkipErrors:
    """Per layer and clip, fp64 [L, B]: the share of video tokens that pass, and root mean square
    errors of the skipped ones, relative to the FFN's own output (`branch`; bypass errs by 1 there)
    and to the block's output x + FFN(x) (`mean`, `bypass`). NaN if nothing is skipped.
    """

    passed: Tensor
    branch: Tensor
    mean: Tensor
    bypass: Tensor


def skip_errors(inputs: Tensor, outputs: Tensor, layout: CubeLayout, p: float) -> SkipErrors:
    """Errors of skipping all but the top `p` of each cube; `inputs`, `outputs` [L, B, V, h] of the
    video in a dense run.
    """
    norms = inputs.float().norm(dim=-1)
    rule = AdaSparkConfig(ffn_top_p=p).ffn_in(0)
    kept = choose_tokens(importance(norms, layout), layout, rule=rule)
    outputs = outputs.float()
    means = layout.kept_means(outputs, kept)[..., layout.cube_from_token, :]

    def over_skipped(values: Tensor) -> Tensor:
        return (values.double().square().sum(-1) * ~kept).sum(-1)

    left, own = over_skipped(outputs - means), over_skipped(outputs)
    block = over_skipped(inputs.float() + outputs)
    return SkipErrors(
        passed=kept.double().mean(-1),
        branch=(left / own).sqrt(),
        mean=(left / block).sqrt(),
        bypass=(own / block).sqrt(),
    )
