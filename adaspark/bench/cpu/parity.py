"""The check that stands before every figure: the fast paths against the slow reference."""

from __future__ import annotations

import torch

from adaspark.kernels import backend
from adaspark.kernels.cpu import loading as cpu_loading
from adaspark.method import attention, reference
from adaspark.method.config import AdaSparkConfig
from adaspark.method.sequence import SequenceMap

TOLERANCE = 1e-5


@torch.inference_mode()
def largest_error(*, seed: int = 0) -> float:
    """Largest absolute difference to the reference, on a small ragged fp32 problem.

    Every attention backend of the CPU and the FFN; infinite where any of them is not finite or any
    selection differs.
    """
    generator = torch.Generator().manual_seed(seed)
    is_video = torch.tensor([0] * 3 + [1] * (5 * 6 * 7) + [0] * 5).bool()
    sequence = SequenceMap.build(is_video, [(5, 6, 7)], (2, 4, 3))
    config = AdaSparkConfig(attn_top_p=0.7, ffn_top_p=0.5)
    heads, groups, width = 4, 2, 16

    def draw(rows: int) -> torch.Tensor:
        return torch.randn(rows, sequence.length, width, generator=generator)

    qkv = 2 * draw(heads), draw(groups), draw(groups)
    weight = torch.randn(width, width, generator=generator)
    given = {"rule": config.attention_in(0), "scale": width**-0.5}
    slow = reference.sparse_attention(*qkv, sequence, **given)
    backends = [attention.by_tiles]
    if (cpu := cpu_loading.load().cpu) is not None:
        backends.append(cpu.sparse_attention)
    errors = [float((run(*qkv, sequence, **given) - slow).abs().max()) for run in backends]
    hidden = qkv[2][0]
    inputs = (hidden, hidden.norm(dim=-1), sequence, lambda x: (x @ weight).relu())
    ours, kept, _ = backend.sparse_ffn(*inputs, rule=config.ffn_in(0))
    slow, expected, _ = reference.sparse_ffn(*inputs, rule=config.ffn_in(0))
    errors.append(float((ours - slow).abs().max()) if torch.equal(kept, expected) else torch.inf)
    worst = max(errors)
    return worst if all(error == error for error in errors) else torch.inf
