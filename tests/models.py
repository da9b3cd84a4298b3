"""Small random Qwen2.5-VL models of odd shapes, and prompts for them."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch.nn.functional import pad
from transformers import AutoTokenizer, Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

from adaspark.assets import BUNDLED_MODEL

VIDEO_TOKEN, IMAGE_TOKEN, VISION_START, VISION_END, EOS = 96, 97, 98, 99, 95
VOCAB = 100


def tiny_model(
    *,
    heads: int = 7,
    kv_heads: int = 1,
    layers: int = 3,
    head_dim: int = 8,
    ffn_width: int | None = None,
    dtype: torch.dtype = torch.float32,
    seed: int = 0,
) -> Any:
    """A random model; the default has 7 query heads for one KV head, as the 7B model has."""
    torch.manual_seed(seed)
    hidden = heads * head_dim
    half = head_dim // 2
    text = {
        "vocab_size": VOCAB,
        "hidden_size": hidden,
        "intermediate_size": ffn_width or 5 * hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "max_position_embeddings": 4096,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 10000.0,
            "mrope_section": [half - 2 * (half // 3), half // 3, half // 3],
        },
        "bos_token_id": EOS,
        "eos_token_id": EOS,
        "pad_token_id": EOS,
        # Trained weights are sharper than fresh ones: without this every softmax is flat.
        "initializer_range": 0.3,
    }
    vision = {
        "depth": 2,
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_heads": 2,
        "out_hidden_size": hidden,
        "window_size": 112,
        "fullatt_block_indexes": [1],
        "tokens_per_second": 2,
    }
    config = Qwen2_5_VLConfig(
        text_config=text,
        vision_config=vision,
        video_token_id=VIDEO_TOKEN,
        image_token_id=IMAGE_TOKEN,
        vision_start_token_id=VISION_START,
        vision_end_token_id=VISION_END,
    )
    return Qwen2_5_VLForConditionalGeneration(config).to(dtype).eval()


def prompt(
    grids: list[tuple[int, int, int]],
    *,
    before: int = 3,
    between: int = 2,
    after: int = 5,
    seed: int = 0,
) -> dict[str, torch.Tensor]:
    """What the processor would give: text, the videos with text between, a question."""
    generator = torch.Generator().manual_seed(seed)

    def text(count: int) -> list[int]:
        return torch.randint(0, EOS, (count,), generator=generator).tolist()

    ids = text(before)
    for i, (t, h, w) in enumerate(grids):
        ids += text(between) if i else []
        ids += [VISION_START, *[VIDEO_TOKEN] * (t * h * w), VISION_END]
    input_ids = torch.tensor([ids + text(after)])
    inputs = {
        "input_ids": input_ids,
        "attention_mask": torch.ones_like(input_ids),
        "mm_token_type_ids": (input_ids == VIDEO_TOKEN).int() * 2,
    }
    if grids:
        patches = sum(4 * t * h * w for t, h, w in grids)
        inputs["pixel_values_videos"] = torch.randn(patches, 1176, generator=generator)
        inputs["video_grid_thw"] = torch.tensor([(t, 2 * h, 2 * w) for t, h, w in grids])
    return inputs


def padded_batch(prompts: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """Several prompts as the processor batches them: padded on the left, all videos in order."""
    longest = max(p["input_ids"].shape[1] for p in prompts)
    fill = {"input_ids": EOS, "attention_mask": 0, "mm_token_type_ids": 0}
    batch = {
        name: torch.cat(
            [pad(p[name], (longest - p[name].shape[1], 0), value=value) for p in prompts]
        )
        for name, value in fill.items()
    }
    for name in ("pixel_values_videos", "video_grid_thw"):
        if parts := [p[name] for p in prompts if name in p]:
            batch[name] = torch.cat(parts)
    return batch


def text_after(inputs: dict[str, torch.Tensor], ids: list[int]) -> dict[str, torch.Tensor]:
    """The same prompt with more text at its end."""
    more = torch.tensor([ids])
    return {
        **inputs,
        "input_ids": torch.cat([inputs["input_ids"], more], 1),
        "attention_mask": pad(inputs["attention_mask"], (0, len(ids)), value=1),
        "mm_token_type_ids": pad(inputs["mm_token_type_ids"], (0, len(ids))),
    }


@cache
def tokenizer() -> Any:
    """The bundled model's."""
    return AutoTokenizer.from_pretrained(BUNDLED_MODEL)


def checkpoint_layers(model: Any, options: dict[str, Any] | None = None) -> None:
    """Recompute activations; newer transformers renamed the method and warn of the old name."""
    name = "activation_checkpointing_enable"
    getattr(model, name if hasattr(model, name) else "gradient_checkpointing_enable")(options)
