"""What `adaspark bench gpu --parts model` times: prefill of a random 7B language model.

Its weights mean nothing, so the choice is planted: cubes are chosen as always, and the result is
replaced by selections of a set density.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import cycle
from typing import Any

import torch
from torch import Tensor

from adaspark.bench.gpu.conditions import DTYPE, FFN_SHARE, GROUPS, HEADS, HIDDEN, INNER, seconds
from adaspark.bench.gpu.planted_selections import CUBES, SIDE, TEXT, Planted, video_sequence
from adaspark.errors import UserError
from adaspark.kernels.backend import Implementation, use_backend
from adaspark.kernels.gpu import attention as gpu_attention
from adaspark.kernels.gpu.thresholds import MEASURED
from adaspark.method.config import AdaSparkConfig
from adaspark.model.mrope import VIDEO
from adaspark.model.qwen import restore, sparsify

LAYERS, VOCABULARY = 28, 152064
CUBE_TOKENS = (64, 256)
"""Cubes of the product's default shape; and larger ones, which take less time to choose from."""
DENSITY, INFLATIONS = 0.3, (1.0, 1.5)
HALF: dict[str, Any] = {"ffn_rule": "top_k", "ffn_keep": FFN_SHARE}
CONDITIONS: dict[str, dict[str, Any]] = {
    "attention only": {"ffn_top_p": 1.0},
    "ffn only": {"attn_top_p": 1.0, **HALF},
    "both": HALF,
}
LONG = AdaSparkConfig((4, 8, 8), 0.02, **HALF)
"""A million tokens choose by themselves: random weights weigh all cubes alike, so p is small."""


def build(device: torch.device, *, layers: int = LAYERS, **text: Any) -> Any:
    """A random Qwen2.5-VL with the 7B model's language model, and hardly any vision tower."""
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    shape = {
        "hidden_size": HIDDEN,
        "intermediate_size": INNER,
        "num_attention_heads": HEADS,
        "num_key_value_heads": GROUPS,
        "vocab_size": VOCABULARY,
        "max_position_embeddings": 2**20,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 1e6,
            "mrope_section": [16, 24, 24],
        },
    }
    vision = {"depth": 1, "hidden_size": 64, "intermediate_size": 64, "num_heads": 2}
    config = Qwen2_5_VLConfig(
        text_config={**shape, "num_hidden_layers": layers, **text},
        vision_config={**vision, "out_hidden_size": text.get("hidden_size", HIDDEN)},
    )
    usual = torch.get_default_dtype()
    torch.set_default_dtype(DTYPE)
    try:
        with torch.device(device):
            return Qwen2_5_VLForConditionalGeneration(config).eval()
    finally:
        torch.set_default_dtype(usual)


@torch.inference_mode()
def prefills(model: Any, tokens: int, repeats: int) -> Iterator[dict[str, Any]]:
    """Milliseconds of each condition's prefill of `tokens` video tokens, and densities, by cube."""
    prefill = _prefill(model, tokens)
    restore(model)
    dense = seconds(prefill, repeats) * 1e3
    for cube in CUBE_TOKENS:
        found = {"model tokens": tokens, "cube": cube, "ffn density": FFN_SHARE, "dense ms": dense}
        yield found | _sparse(model, prefill, tokens, cube, repeats)
    restore(model)


def _sparse(
    model: Any, prefill: Callable[[], Tensor], tokens: int, cube: int, repeats: int
) -> dict[str, Any]:
    sequence = video_sequence(tokens, cube, model.device)
    sparsify(model, AdaSparkConfig(CUBES[cube], **CONDITIONS["ffn only"]))
    found: dict[str, Any] = {"ffn only ms": seconds(prefill, repeats) * 1e3}
    for inflation in INFLATIONS:
        heads, length = model.config.text_config.num_attention_heads, sequence.length
        planted = Planted.draw(
            sequence, heads, DENSITY, inflation, max_bytes=MEASURED.selection_bytes
        )
        found["attention density"] = planted.pairs / (heads * length * (length + 1) / 2)
        for name in ("attention only", "both"):
            sparsify(model, AdaSparkConfig(CUBES[cube], **CONDITIONS[name]))
            with _planted(planted) as chosen:
                found[f"{name}, inflation {inflation} ms"] = seconds(prefill, repeats) * 1e3
            _check_ran(chosen)
    return found


@torch.inference_mode()
def long_prefill(model: Any, tokens: int) -> dict[str, Any]:
    """Seconds and memory of one prefill of `tokens` by the model's own choice, its cache kept."""
    sparsify(model, LONG)
    torch.cuda.reset_peak_memory_stats()
    with _counted() as chosen:
        spent = seconds(_prefill(model, tokens, use_cache=True), 0)
    _check_ran(chosen)
    restore(model)
    return {
        "long tokens": tokens,
        "attn_top_p": LONG.attn_top_p,
        "ffn density": FFN_SHARE,
        "seconds": spent,
        "peak GB": torch.cuda.max_memory_allocated() / 1e9,
    }


def _check_ran(chosen: list[int]) -> None:
    if not chosen:
        raise UserError("The model does not attend by the GPU kernels: see `adaspark doctor`.")


def _prefill(model: Any, tokens: int, *, use_cache: bool = False) -> Callable[[], Tensor]:
    length, merge = tokens + 2 * TEXT, model.config.vision_config.spatial_merge_size
    device, width = model.device, model.config.text_config.hidden_size
    generator = torch.Generator(device).manual_seed(0)
    types = torch.zeros(1, length, dtype=torch.long, device=device)
    types[:, TEXT:-TEXT] = VIDEO
    call = {
        "inputs_embeds": torch.randn(
            (1, length, width), generator=generator, device=device, dtype=model.dtype
        ),
        "position_ids": torch.arange(length, device=device).expand(3, 1, -1),
        "mm_token_type_ids": types,
        "video_grid_thw": torch.tensor([[tokens // SIDE**2, SIDE * merge, SIDE * merge]]),
        "logits_to_keep": 1,
        "use_cache": use_cache,
    }
    return lambda: torch.as_tensor(model(**call).logits)


@contextmanager
def _planted(planted: Planted) -> Iterator[list[int]]:
    """Choose as always, then answer with what was planted; yields the rows of every answer."""
    answers = cycle(planted.chunks)
    with _counted(lambda words: next(answers)[1]) as counts:
        yield counts


@contextmanager
def _counted(answer: Callable[[Tensor], Tensor] = lambda words: words) -> Iterator[list[int]]:
    """Attend by the GPU kernels to what `answer` makes of each choice; yields the rows of each."""
    counts: list[int] = []

    def choose(*given: Any) -> Tensor:
        words = answer(gpu_attention.choose_cubes(*given))
        counts.append(words.shape[1])
        return words

    attend = partial(gpu_attention.sparse_attention, choose=choose)
    with use_backend(Implementation(attend, gpu_attention.sparse_ffn)):
        yield counts
