"""What the hub's files of each family say, at a small size: config.json and the preprocessors."""

from __future__ import annotations

from typing import Any

IMAGE_PREPROCESSOR = {
    "min_pixels": 3136,
    "max_pixels": 12845056,
    "patch_size": 14,
    "temporal_patch_size": 2,
    "merge_size": 2,
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
    "image_processor_type": "Qwen2VLImageProcessor",
    "processor_class": "Qwen2_5_VLProcessor",
}
VIDEO_PREPROCESSOR = {
    **{name: IMAGE_PREPROCESSOR[name] for name in ("patch_size", "merge_size", "image_mean")},
    "temporal_patch_size": 2,
    "image_std": IMAGE_PREPROCESSOR["image_std"],
    "size": {"shortest_edge": 128 * 28 * 28, "longest_edge": 768 * 28 * 28},
    "min_frames": 4,
    "max_frames": 768,
    "video_processor_type": "Qwen2VLVideoProcessor",
    "processor_class": "Qwen2_5_VLProcessor",
}
_APART = {
    "patch_size": 16,
    "temporal_patch_size": 2,
    "merge_size": 2,
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
    "processor_class": "Qwen3VLProcessor",
}
APART_IMAGE_PREPROCESSOR = {
    **_APART,
    "size": {"shortest_edge": 65536, "longest_edge": 16777216},
    "image_processor_type": "Qwen2VLImageProcessorFast",
}
APART_VIDEO_PREPROCESSOR = {
    **_APART,
    "size": {"shortest_edge": 4096, "longest_edge": 25165824},
    "video_processor_type": "Qwen3VLVideoProcessor",
}


def is_apart(family: str) -> bool:
    return family.startswith("qwen3")


def config_of(family: str, layers: int, ids: dict[str, int], vocab: int) -> dict[str, Any]:
    """The hub's config.json: flat for the older two, nested for the others."""
    marks = {
        "vision_start_token_id": ids["<|vision_start|>"],
        "vision_end_token_id": ids["<|vision_end|>"],
        "image_token_id": ids["<|image_pad|>"],
        "video_token_id": ids["<|video_pad|>"],
    }
    text = {
        "attention_dropout": 0.0,
        "bos_token_id": ids["<|endoftext|>"],
        "eos_token_id": ids["<|im_end|>"],
        "hidden_act": "silu",
        "hidden_size": 64,
        "initializer_range": 0.02,
        "intermediate_size": 96,
        "num_attention_heads": 4,
        "num_hidden_layers": layers,
        "num_key_value_heads": 2,
        "rms_norm_eps": 1e-6,
        "use_cache": True,
        "vocab_size": vocab,
    }
    if is_apart(family):
        return _nested(family, text, marks, layers)
    return {
        "architectures": [_ARCHITECTURES[family]],
        "model_type": family,
        **text,
        **marks,
        "max_position_embeddings": 128000 if family == "qwen2_5_vl" else 32768,
        "max_window_layers": 70,
        "rope_scaling": {"type": "mrope", "mrope_section": [2, 3, 3]},
        "rope_theta": 1000000.0,
        "sliding_window": 32768,
        "tie_word_embeddings": True,
        "torch_dtype": "bfloat16",
        "transformers_version": "4.41.2",
        "use_sliding_window": False,
        "vision_config": _VISION[family],
    }


def _nested(
    family: str, text: dict[str, Any], marks: dict[str, int], layers: int
) -> dict[str, Any]:
    is_hybrid, is_moe = family.startswith("qwen3_5"), family.endswith("moe")
    # 32 heads of 128 in 2,560: the head's size is not hidden size / heads.
    width = 256 if is_hybrid else 128
    rope: dict[str, Any] = {"mrope_interleaved": True, "rope_type": "default"}
    text = {
        **text,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": width,
        "attention_bias": False,
        "dtype": "bfloat16",
        "max_position_embeddings": 262144,
        "model_type": f"{family}_text",
    }
    if is_hybrid:
        rope |= {
            "mrope_section": [11, 11, 10],
            "rope_theta": 10000000,
            "partial_rotary_factor": 0.25,
        }
        kinds = [*["linear_attention"] * 3, "full_attention"]
        text |= {
            "attn_output_gate": True,
            "full_attention_interval": 4,
            "layer_types": (kinds * layers)[:layers],
            "linear_conv_kernel_dim": 4,
            "linear_key_head_dim": 16,
            "linear_num_key_heads": 2,
            "linear_num_value_heads": 4,
            "linear_value_head_dim": 16,
            "mtp_num_hidden_layers": 1,
            "rope_parameters": rope,
        }
    else:
        text |= {
            "rope_scaling": {**rope, "mrope_section": [24, 20, 20]},
            "rope_theta": 5000000,
        }
    if is_moe:
        text |= {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 48}
        if is_hybrid:
            text["shared_expert_intermediate_size"] = 48
        else:
            text |= {"decoder_sparse_step": 1, "mlp_only_layers": [], "norm_topk_prob": True}
    return {
        "architectures": [_ARCHITECTURES[family]],
        "model_type": family,
        **marks,
        "text_config": text,
        "tie_word_embeddings": not is_moe,
        "transformers_version": "4.57.0.dev0",
        "vision_config": {
            "deepstack_visual_indexes": [] if is_hybrid else [0, 1],
            "depth": 2,
            "hidden_act": "gelu_pytorch_tanh",
            "hidden_size": 32,
            "in_channels": 3,
            "initializer_range": 0.02,
            "intermediate_size": 48,
            "model_type": family,
            "num_heads": 2,
            "num_position_embeddings": 144,
            "out_hidden_size": 64,
            "patch_size": 16,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
        },
    }


_ARCHITECTURES = {
    "qwen2_vl": "Qwen2VLForConditionalGeneration",
    "qwen2_5_vl": "Qwen2_5_VLForConditionalGeneration",
    "qwen3_vl": "Qwen3VLForConditionalGeneration",
    "qwen3_vl_moe": "Qwen3VLMoeForConditionalGeneration",
    "qwen3_5": "Qwen3_5ForConditionalGeneration",
    "qwen3_5_moe": "Qwen3_5MoeForConditionalGeneration",
}
_PATCHES = {
    "depth": 2,
    "num_heads": 2,
    "in_chans": 3,
    "patch_size": 14,
    "spatial_merge_size": 2,
    "spatial_patch_size": 14,
    "temporal_patch_size": 2,
}
_VISION: dict[str, dict[str, Any]] = {
    "qwen2_vl": {**_PATCHES, "embed_dim": 32, "mlp_ratio": 4, "hidden_size": 64},
    "qwen2_5_vl": {
        **_PATCHES,
        "hidden_act": "silu",
        "hidden_size": 32,
        "intermediate_size": 48,
        "out_hidden_size": 64,
        "window_size": 112,
        "fullatt_block_indexes": [1],
        "tokens_per_second": 2,
    },
}
