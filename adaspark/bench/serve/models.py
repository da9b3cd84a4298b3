"""What `adaspark bench serve` asks: the bundled model, and full-size random ones of Qwen2.5-VL."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import torch

from adaspark.method.config import AdaSparkConfig
from adaspark.model import checkpoint
from adaspark.model.checkpoint import BUNDLED, Checkpoint
from adaspark.video.clip import probe, token_grid
from adaspark.video.sampling import Sampling

MODELS = {"cuda": ("7B", "3B"), "cpu": (BUNDLED,)}
QUESTION = "what color is the circle ?"
CLIP_SIZE, CLIP_FPS, CLIP_SECS = (320, 180), 4, 3600
SHARPER = 6
"""Fresh weights weigh all cubes alike; queries and keys so many times as large choose some."""
TEXT = {
    "3B": {
        "hidden_size": 2048,
        "intermediate_size": 11008,
        "num_hidden_layers": 36,
        "num_attention_heads": 16,
        "num_key_value_heads": 2,
        "vocab_size": 151936,
    },
    "7B": {
        "hidden_size": 3584,
        "intermediate_size": 18944,
        "num_hidden_layers": 28,
        "num_attention_heads": 28,
        "num_key_value_heads": 4,
        "vocab_size": 152064,
    },
}
VISION = {"depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "num_heads": 16}
CONFIGS = {
    BUNDLED: AdaSparkConfig((4, 4, 4), 0.6, 0.5),
    "3B": AdaSparkConfig((4, 4, 4), 0.3, 0.5),
    "7B": AdaSparkConfig((4, 4, 4), 0.3, 0.5),
}


@dataclass(frozen=True)
class Served:
    """A loaded model that never ends its answer by itself, and how it is asked to be sparse."""

    checkpoint: Checkpoint
    config: AdaSparkConfig

    def sampling(self, path: Path, tokens: int) -> Sampling:
        """That shows as many frames of a clip as take `tokens` video tokens, or a few more."""
        usual = replace(self.checkpoint.sampling, fps=float(CLIP_FPS), max_frames=2)
        _, rows, columns = token_grid(probe(path), usual)
        slices = ceil(tokens / (rows * columns))
        return replace(usual, max_frames=slices * usual.temporal_patch)


def load(name: str, device: torch.device) -> Served:
    """The bundled model, or a random one of the shape `3B` or `7B`."""
    loaded = checkpoint.load(BUNDLED, device=device.type)
    if name != BUNDLED:
        model = random_model(loaded.model.config, device, **TEXT[name])
        sampling = Sampling(min_pixels=48 * 28 * 28, max_pixels=128 * 28 * 28)
        loaded = replace(loaded, name=name, model=model, sampling=sampling)
    tokenizer = copy.deepcopy(loaded.tokenizer)
    tokenizer.eos_token = None
    loaded.model.generation_config.eos_token_id = None
    return Served(replace(loaded, tokenizer=tokenizer), CONFIGS[name])


def random_model(bundled: Any, device: torch.device, **text: Any) -> Any:
    """A random Qwen2.5-VL, bf16, tower included, with the token ids of the `bundled` config."""
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    width = text["hidden_size"] // text["num_attention_heads"] // 2
    rope = {"rope_type": "default", "rope_theta": 1e6}
    sections = [width // 4, 3 * width // 8, 3 * width // 8]
    config = Qwen2_5_VLConfig(
        text_config={
            "max_position_embeddings": 2**20,
            "rope_parameters": {**rope, "mrope_section": sections},
            **text,
        },
        vision_config={**VISION, "out_hidden_size": text["hidden_size"]},
        video_token_id=bundled.video_token_id,
        image_token_id=bundled.image_token_id,
    )
    usual = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    torch.manual_seed(0)
    try:
        with torch.device(device):
            model = Qwen2_5_VLForConditionalGeneration(config).eval()
    finally:
        torch.set_default_dtype(usual)
    with torch.no_grad():
        for layer in model.model.language_model.layers:
            layer.self_attn.q_proj.weight *= SHARPER
            layer.self_attn.k_proj.weight *= SHARPER
    return model


def write_clip(path: Path, *, seconds: int = CLIP_SECS) -> Path:
    """An H.264 clip of a square that wanders over a gradient, a key frame every 8 seconds."""
    import av

    width, height = CLIP_SIZE
    rows, columns = np.mgrid[:height, :width].astype(np.int64)
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=CLIP_FPS, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.time_base = Fraction(1, CLIP_FPS)
        stream.codec_context.gop_size = 8 * CLIP_FPS
        for number in range(seconds * CLIP_FPS):
            shown = np.stack([rows, columns, rows + columns + number], -1) % 256
            top, left = 3 * number % (height - 40), 5 * number % (width - 40)
            shown[top : top + 40, left : left + 40] = (230, 40, 40)
            frame = av.VideoFrame.from_ndarray(shown.astype(np.uint8), format="rgb24")
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path
