"""Full-size models of random weights: what their published configurations say of their shape."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from adaspark.model.families import FAMILIES, model_class
from adaspark.model.prompt import VIDEO_PAD, VISION_MARKS

SHARPER = 6
"""Fresh weights weigh all cubes alike; queries and keys so many times as large choose some."""
CONTEXT = 2**20


@dataclass(frozen=True)
class Shape:
    """A model of a family: what its text and vision configurations say, as transformers names it.

    `patch` is the side of a patch in pixels.
    """

    model_type: str
    text: dict[str, Any]
    vision: dict[str, Any]
    patch: int

    def build(self, device: torch.device, tokenizer: Any) -> Any:
        """A model of random weights, bf16, tower included, with the token ids of `tokenizer`."""
        family = next(family for family in FAMILIES if family.model_type == self.model_type)
        kind = model_class(family)
        text = {"max_position_embeddings": CONTEXT, **self.text}
        vision = {"out_hidden_size": text["hidden_size"], **self.vision}
        start, end = map(tokenizer.convert_tokens_to_ids, VISION_MARKS)
        marks = {"vision_start_token_id": start, "vision_end_token_id": end}
        marks["video_token_id"] = tokenizer.convert_tokens_to_ids(VIDEO_PAD)
        marks["image_token_id"] = tokenizer.convert_tokens_to_ids("<|image_pad|>")
        config = kind.config_class(text_config=text, vision_config=vision, **marks)
        usual = torch.get_default_dtype()
        torch.set_default_dtype(torch.bfloat16)
        torch.manual_seed(0)
        try:
            with torch.device(device):
                model = kind(config).eval()
        finally:
            torch.set_default_dtype(usual)
        for layer in getattr(model.model, family.text).layers:
            if hasattr(layer, family.attention):
                _sharpen(getattr(layer, family.attention))
        return model


@torch.no_grad()
def _sharpen(attention: Any) -> None:
    """Queries and keys `SHARPER` times as large: by their norms, where they have their own."""
    if hasattr(attention, "q_norm"):  # of weight 1, or 0 where 1 is added to it
        for norm in (attention.q_norm, attention.k_norm):
            norm.weight += SHARPER - 1
    else:
        attention.q_proj.weight *= SHARPER
        attention.k_proj.weight *= SHARPER


_TOWER = {"depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "num_heads": 16}
_TOWER_APART = {"depth": 27, "hidden_size": 1152, "intermediate_size": 4304, "num_heads": 16}
_ROPE = {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [16, 24, 24]}
_ROPE_APART = {"rope_type": "default", "mrope_interleaved": True}

SHAPES = {
    "3B": Shape(
        "qwen2_5_vl",
        {
            "hidden_size": 2048,
            "intermediate_size": 11008,
            "num_hidden_layers": 36,
            "num_attention_heads": 16,
            "num_key_value_heads": 2,
            "vocab_size": 151936,
            "rope_parameters": _ROPE,
        },
        _TOWER,
        14,
    ),
    "7B": Shape(
        "qwen2_5_vl",
        {
            "hidden_size": 3584,
            "intermediate_size": 18944,
            "num_hidden_layers": 28,
            "num_attention_heads": 28,
            "num_key_value_heads": 4,
            "vocab_size": 152064,
            "rope_parameters": _ROPE,
        },
        _TOWER,
        14,
    ),
    "Qwen3-VL-8B": Shape(
        "qwen3_vl",
        {
            "hidden_size": 4096,
            "intermediate_size": 12288,
            "num_hidden_layers": 36,
            "num_attention_heads": 32,
            "num_key_value_heads": 8,
            "head_dim": 128,
            "vocab_size": 151936,
            "rope_parameters": {**_ROPE_APART, "rope_theta": 5e6, "mrope_section": [24, 20, 20]},
        },
        {**_TOWER_APART, "deepstack_visual_indexes": [8, 16, 24]},
        16,
    ),
    "Qwen3.5-9B": Shape(
        "qwen3_5",
        {
            "hidden_size": 4096,
            "intermediate_size": 12288,
            "num_hidden_layers": 32,
            "num_attention_heads": 16,
            "num_key_value_heads": 4,
            "head_dim": 256,
            "linear_num_key_heads": 16,
            "linear_num_value_heads": 32,
            "linear_key_head_dim": 128,
            "linear_value_head_dim": 128,
            "linear_conv_kernel_dim": 4,
            "layer_types": [*["linear_attention"] * 3, "full_attention"] * 8,
            "vocab_size": 248320,
            "rope_parameters": {
                **_ROPE_APART,
                "rope_theta": 1e7,
                "partial_rotary_factor": 0.25,
                "mrope_section": [11, 11, 10],
            },
        },
        _TOWER_APART,
        16,
    ),
}
"""By the names that `adaspark bench` has for them."""
