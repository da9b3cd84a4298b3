"""What `adaspark bench serve` asks: the bundled model, and full-size ones of random weights."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import torch

from adaspark.bench.serve.shapes import SHAPES, Shape
from adaspark.method.config import AdaSparkConfig
from adaspark.model import checkpoint
from adaspark.model.checkpoint import BUNDLED, Checkpoint
from adaspark.model.checkpoint_frames import CLIP_MEAN, CLIP_STD, HALF
from adaspark.model.families import known_family
from adaspark.video.clip import probe, token_grid
from adaspark.video.sampling import Sampling

MODELS = {"cuda": ("7B", "3B"), "cpu": (BUNDLED,)}
QUESTION = "what color is the circle ?"
CLIP_SIZE, CLIP_FPS, CLIP_SECS = (320, 180), 4, 3600
CONFIG = AdaSparkConfig((4, 4, 4), 0.3, 0.5)
FRAME_TOKENS = (48, 128)
"""How many a slice of two frames takes, at least and at most."""


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
    """The bundled model, or one of random weights and the shape `name` of `SHAPES`."""
    loaded = checkpoint.load(BUNDLED, device=device.type)
    config = loaded.config
    if name != BUNDLED:
        loaded, config = random_checkpoint(name, SHAPES[name], loaded.tokenizer, device), CONFIG
    tokenizer = copy.deepcopy(loaded.tokenizer)
    tokenizer.eos_token = None
    loaded.model.generation_config.eos_token_id = None
    return Served(replace(loaded, tokenizer=tokenizer), config)


def random_checkpoint(name: str, shape: Shape, tokenizer: Any, device: torch.device) -> Checkpoint:
    """A model of random weights that is shown small frames, as its family wants them."""
    model = shape.build(device, tokenizer)
    apart = known_family(model.config).frames_apart
    token = (2 * shape.patch) ** 2
    least, most = (count * token for count in FRAME_TOKENS)
    sampling = Sampling(min_pixels=least, max_pixels=most, patch=shape.patch, to_end=apart)
    mean, std = (HALF, HALF) if apart else (CLIP_MEAN, CLIP_STD)
    return Checkpoint(name, model, tokenizer, sampling, mean, std, CONFIG)


def write_clip(path: Path, *, seconds: int = CLIP_SECS) -> Path:
    """An H.264 clip of a square that wanders over a gradient, a key frame every 8 seconds."""
    import av

    width, height = CLIP_SIZE
    rows, columns = np.mgrid[:height, :width].astype(np.uint8)
    ground = np.stack([rows, columns, rows + columns], -1)
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=CLIP_FPS, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.time_base = Fraction(1, CLIP_FPS)
        stream.codec_context.gop_size = 8 * CLIP_FPS
        for number in range(seconds * CLIP_FPS):
            shown = ground.copy()
            shown[..., 2] += np.uint8(number % 256)
            top, left = 3 * number % (height - 40), 5 * number % (width - 40)
            shown[top : top + 40, left : left + 40] = (230, 40, 40)
            frame = av.VideoFrame.from_ndarray(shown, format="rgb24")
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path
