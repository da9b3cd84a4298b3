"""Small random models of every family, and what the processor of each makes of videos."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from models import (
    EOS,
    IMAGE_TOKEN,
    VIDEO_TOKEN,
    VISION_END,
    VISION_START,
    VOCAB,
    prompt,
    tiny_model,
)

from adaspark.model.families import FAMILIES, Family, model_class

BY_NAME = {family.model_type: family for family in FAMILIES}
LESS_THAN, SECONDS = 94, 93  # `<`, and ` seconds>`, in the small vocabulary
_IDS = {
    "video_token_id": VIDEO_TOKEN,
    "image_token_id": IMAGE_TOKEN,
    "vision_start_token_id": VISION_START,
    "vision_end_token_id": VISION_END,
}


@dataclass(frozen=True)
class Shape:
    """The sizes of a random model; 7 query heads for one KV head, as the 7B models have."""

    heads: int = 7
    kv_heads: int = 1
    layers: int = 4
    head_dim: int = 16
    hidden: int = 56
    vocab: int = VOCAB


def family_config(name: str, shape: Shape | None = None, **ids: int) -> Any:
    """The configuration of a small model of a family."""
    shape, family = shape or Shape(), BY_NAME[name]
    kind = model_class(family).config_class
    made: Any = kind(
        text_config=_text(family, shape), vision_config=_vision(family, shape), **{**_IDS, **ids}
    )
    return made


def family_model(
    name: str,
    *,
    dtype: torch.dtype = torch.float32,
    seed: int = 0,
    shape: Shape | None = None,
) -> Any:
    """A random model of a family."""
    if name == "qwen2_5_vl" and shape is None:
        return tiny_model(dtype=dtype, seed=seed)
    torch.manual_seed(seed)
    return model_class(BY_NAME[name])(family_config(name, shape)).to(dtype).eval()


def family_prompt(
    name: str, grids: list[tuple[int, int, int]], *, seed: int = 0
) -> dict[str, torch.Tensor]:
    """What the processor of a family gives: for some, times between the frames."""
    inputs = prompt(grids, seed=seed)
    if not BY_NAME[name].frames_apart or not grids:
        return inputs
    ids = inputs["input_ids"][0].tolist()
    apart: list[int] = []
    videos = iter(grids)
    while ids:
        token = ids.pop(0)
        if token != VISION_START:
            apart.append(token)
            continue
        slices, rows, columns = next(videos)
        for i in range(slices):
            apart += [LESS_THAN, 10 + i % 80, SECONDS]
            apart += [VISION_START, *[VIDEO_TOKEN] * (rows * columns), VISION_END]
        del ids[: slices * rows * columns + 1]
    made = torch.tensor([apart])
    pixels = sum(t * h * w for t, h, w in grids) * 4
    generator = torch.Generator().manual_seed(seed)
    return {
        **inputs,
        "input_ids": made,
        "attention_mask": torch.ones_like(made),
        "mm_token_type_ids": (made == VIDEO_TOKEN).int() * 2,
        "pixel_values_videos": torch.randn(pixels, 3 * 2 * 16 * 16, generator=generator),
    }


def _text(family: Family, shape: Shape) -> dict[str, Any]:
    width = shape.head_dim
    half = width // 2
    # A quarter of each head turns in Qwen3.5, all of it elsewhere.
    turned = half // 4 * 2 if family.mixer else half
    if not family.frames_apart:
        width = shape.hidden // shape.heads
        turned = half = width // 2
    text: dict[str, Any] = {
        "vocab_size": shape.vocab,
        "hidden_size": shape.hidden,
        "intermediate_size": 5 * shape.hidden,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "max_position_embeddings": 4096,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 10000.0,
            "mrope_section": [turned - 2 * (turned // 3), turned // 3, turned // 3],
        },
        "bos_token_id": EOS,
        "eos_token_id": EOS,
        "pad_token_id": EOS,
        # Trained weights are sharper than fresh ones: without this every softmax is flat.
        "initializer_range": 0.3,
    }
    if family.frames_apart:
        text["head_dim"] = width
        text["rope_parameters"]["mrope_interleaved"] = True
    if family.mixer:
        text["rope_parameters"]["partial_rotary_factor"] = turned / half
        linear = ["linear_attention"] * (shape.layers - 1)
        text |= {
            "layer_types": [*linear[-3:], "full_attention", *linear[:-3]],
            "linear_conv_kernel_dim": 4,
            "linear_key_head_dim": 8,
            "linear_value_head_dim": 8,
            "linear_num_key_heads": 2,
            "linear_num_value_heads": 4,
        }
    if family.model_type.endswith("moe"):
        text |= {
            "num_experts": 4,
            "num_experts_per_tok": 2,
            "moe_intermediate_size": 48,
            "decoder_sparse_step": 1,
            "mlp_only_layers": [] if family.mixer else [0],
        }
        if family.mixer:
            text["shared_expert_intermediate_size"] = 48
    return text


def _vision(family: Family, shape: Shape) -> dict[str, Any]:
    if family.model_type == "qwen2_vl":
        return {
            "depth": 2,
            "embed_dim": 16,
            "hidden_size": shape.hidden,
            "num_heads": 2,
            "mlp_ratio": 2,
        }
    vision: dict[str, Any] = {
        "depth": 2,
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_heads": 2,
        "out_hidden_size": shape.hidden,
    }
    if family.frames_apart:
        vision["num_position_embeddings"] = 64
        return vision | ({"deepstack_visual_indexes": [0, 1]} if family.deepstack else {})
    return vision | {"window_size": 112, "fullatt_block_indexes": [1], "tokens_per_second": 2}
