"""The models of the CPU bench and a prompt of any length for each, vision already done."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from adaspark.method.config import AdaSparkConfig
from adaspark.model import checkpoint
from adaspark.model.mrope import VIDEO
from adaspark.model.prompt import build_prompt

SIDE = 8  # tokens: 224 x 224 pixels
_SLICES_AT_ONCE = 32
_SEED = 10_000_001
_SHAPE = {
    "hidden_size": 896,
    "intermediate_size": 4864,
    "num_hidden_layers": 20,
    "num_attention_heads": 14,
    "num_key_value_heads": 2,
    "max_position_embeddings": 32768,
    "vocab_size": 1024,
}


@dataclass(frozen=True, eq=False)
class Bench:
    """A model, its tokenizer, and `features(slices)`: what its vision tower makes of a clip.

    `own` is the setting that the model was trained for, None if it was not.
    """

    name: str
    model: Any
    tokenizer: Any
    features: Callable[[int], Tensor]
    own: AdaSparkConfig | None = None

    @torch.inference_mode()
    def prefill(self, tokens: int) -> Callable[[], Tensor]:
        """Prefill `tokens` video tokens and a question; returns the last logits."""
        slices = tokens // SIDE**2
        prompt = build_prompt(
            self.tokenizer, "What moves left?", (slices, SIDE, SIDE), position_step=1.0
        )
        embeddings = self.model.get_input_embeddings()(prompt.input_ids)
        embeddings[prompt.token_types == VIDEO] = self.features(slices)
        merge = self.model.config.vision_config.spatial_merge_size
        call = {
            "inputs_embeds": embeddings,
            "position_ids": prompt.position_ids,
            "mm_token_type_ids": prompt.token_types,
            "video_grid_thw": torch.tensor([[slices, SIDE * merge, SIDE * merge]]),
            "logits_to_keep": 1,
        }

        def run() -> Tensor:
            with torch.inference_mode():
                logits: Tensor = self.model(**call).logits
            return logits

        return run


def bundled() -> Bench:
    """The bundled model on SparkWorld scenes, one after the other."""
    from adaspark.mini.packed.dense_forward import encode_clips, patchify
    from adaspark.mini.world.render import render
    from adaspark.mini.world.settings import SceneSettings
    from adaspark.mini.world.world import sample_scene

    loaded = checkpoint.load(device="cpu")
    visual, pixels = loaded.model.model.visual, (28 * SIDE, 28 * SIDE)

    def features(slices: int) -> Tensor:
        parts = []
        for first in range(0, slices, _SLICES_AT_ONCE):
            frames = 2 * min(_SLICES_AT_ONCE, slices - first)
            scene = sample_scene(_SEED + first, SceneSettings(frames=frames, size=pixels))
            pictures = render([scene], [index / 4 for index in range(frames)], pixels)
            parts.append(encode_clips(visual, patchify(pictures), SIDE, SIDE)[0])
        return torch.cat(parts)

    return Bench("bundled", loaded.model, loaded.tokenizer, features, loaded.config)


def larger() -> Bench:
    """0.3 billion random parameters in the shape of Qwen2.5-VL, on random features.

    Nothing is learnt, so neighbours hardly agree on their cubes: the kernels' worst case.
    """
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    torch.manual_seed(0)
    tokenizer = checkpoint.load(device="cpu").tokenizer
    bundled_config = checkpoint.load(device="cpu").model.config
    rope = {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [12, 10, 10]}
    config = Qwen2_5_VLConfig(
        text_config={**_SHAPE, "rope_parameters": rope},
        vision_config={"depth": 1, "hidden_size": 16, "num_heads": 1, "out_hidden_size": 896},
        video_token_id=bundled_config.video_token_id,
        image_token_id=bundled_config.image_token_id,
    )
    model = Qwen2_5_VLForConditionalGeneration(config).eval()
    scale = model.get_input_embeddings().weight.std()
    return Bench(
        "0.3B", model, tokenizer, lambda slices: scale * torch.randn(slices * SIDE**2, 896)
    )


MODELS = {"bundled": bundled, "0.3B": larger}
