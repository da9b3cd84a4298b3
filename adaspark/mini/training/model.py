"""The bundled model's shape: transformers' Qwen2.5-VL classes, unchanged, made small."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

FPS = 4.0
TEMPORAL_PATCH = 2
PATCH = 14
MERGE = 2
TOKENS_PER_SECOND = 2
POSITION_STEP = TOKENS_PER_SECOND * TEMPORAL_PATCH / FPS  # M-RoPE distance of two slices: 1
IMAGE_MEAN = (0.48145466, 0.4578275, 0.40821073)  # OpenAI CLIP
IMAGE_STD = (0.26862954, 0.26130258, 0.27577711)
MAX_PIXELS = 224 * 224
MIN_PIXELS = 56 * 56
MAX_FRAMES = 64


def build_config(tokenizer: Any) -> Any:
    """The configuration, a `Qwen2_5_VLConfig`: 7.6 M language and 2.8 M vision parameters."""
    from transformers import Qwen2_5_VLConfig

    def id_of(token: str) -> int:
        return int(tokenizer.convert_tokens_to_ids(token))

    text = {
        "vocab_size": len(tokenizer),
        "hidden_size": 256,
        "intermediate_size": 1344,
        "num_hidden_layers": 6,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 32768,
        "rms_norm_eps": 1e-6,
        "bos_token_id": None,
        "eos_token_id": id_of("<|im_end|>"),
        "pad_token_id": id_of("<|endoftext|>"),
        "tie_word_embeddings": True,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 10000.0,
            "mrope_section": [12, 10, 10],
        },
    }
    vision = {
        "depth": 4,
        "hidden_size": 192,
        "intermediate_size": 512,
        "num_heads": 3,
        "patch_size": PATCH,
        "temporal_patch_size": TEMPORAL_PATCH,
        "spatial_merge_size": MERGE,
        "tokens_per_second": TOKENS_PER_SECOND,
        "window_size": 112,
        "fullatt_block_indexes": [1, 3],
        "out_hidden_size": 256,
    }
    return Qwen2_5_VLConfig(
        text_config=text,
        vision_config=vision,
        image_token_id=id_of("<|image_pad|>"),
        video_token_id=id_of("<|video_pad|>"),
        vision_start_token_id=id_of("<|vision_start|>"),
        vision_end_token_id=id_of("<|vision_end|>"),
        tie_word_embeddings=True,
    )


def build_model(tokenizer: Any, *, seed: int) -> Any:
    """A freshly initialised `Qwen2_5_VLForConditionalGeneration`, float32, from `seed`."""
    from transformers import GenerationConfig, Qwen2_5_VLForConditionalGeneration

    torch.manual_seed(seed)
    model = Qwen2_5_VLForConditionalGeneration(build_config(tokenizer))
    model.generation_config = GenerationConfig(
        eos_token_id=tokenizer.convert_tokens_to_ids("<|im_end|>"),
        pad_token_id=tokenizer.convert_tokens_to_ids("<|endoftext|>"),
        do_sample=False,
        max_new_tokens=16,
    )
    return model


def preprocessor_config() -> dict[str, Any]:
    """What `preprocessor_config.json` holds: sampling, resizing and normalisation."""
    return {
        "processor_class": "Qwen2_5_VLProcessor",
        "image_processor_type": "Qwen2VLImageProcessor",
        "video_processor_type": "Qwen2VLVideoProcessor",
        "fps": FPS,
        "max_frames": MAX_FRAMES,
        "min_pixels": MIN_PIXELS,
        "max_pixels": MAX_PIXELS,
        "patch_size": PATCH,
        "temporal_patch_size": TEMPORAL_PATCH,
        "merge_size": MERGE,
        "image_mean": list(IMAGE_MEAN),
        "image_std": list(IMAGE_STD),
    }


def save_bundle(model: Any, tokenizer: Any, folder: Path) -> None:
    """Write weights (bfloat16), configuration, tokenizer and preprocessor into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    saved = build_model(tokenizer, seed=0).to(torch.bfloat16)
    saved.load_state_dict(model.state_dict())
    saved.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    text = json.dumps(preprocessor_config(), indent=2) + "\n"
    (folder / "preprocessor_config.json").write_text(text, encoding="utf-8")
