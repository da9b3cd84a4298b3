"""A model's name to what runs it: weights, tokenizer, and how it wants its frames."""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from adaspark.config import AdaSparkConfig
from adaspark.errors import UserError
from adaspark.precision import fastest
from adaspark.sampling import Sampling

BUNDLED = "mini"
BUNDLED_SPARSE = "mini-sparse"  # the same model after sparse tuning
BUNDLES = (BUNDLED, BUNDLED_SPARSE)
BUNDLED_FOLDER = Path(__file__).parents[1] / "assets" / "mini"
_DELTA = "sparse.safetensors"  # what sparse tuning changed, in the bundle's folder
DEVICES = ("auto", "cpu", "cuda")
_LONGEST_NAME = 255  # of one part of a path, in any file system
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True)
class Checkpoint:
    """A loaded model. `sampling`, `mean` and `std` come from its preprocessor configuration,
    `config` from its `adaspark.json` (the package's default where it has none).
    """

    name: str
    model: Any
    tokenizer: Any
    sampling: Sampling
    mean: tuple[float, ...]
    std: tuple[float, ...]
    config: AdaSparkConfig

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        device: torch.device = self.model.device
        return device


def load(name: str = BUNDLED, *, device: str = "auto") -> Checkpoint:
    """Load `mini`, `mini-sparse`, a local folder, or a Qwen2.5-VL of the Hugging Face hub by name.

    Weights are fp32 for the bundled models; any other is bf16, or fp32 on a CPU that is faster so.
    Raises UserError where the name is unknown, the hub cannot be reached, or the model is not a
    Qwen2.5-VL.
    """
    place = torch.device(_device(device))
    source = _source(name)
    try:
        return _load(name, source, place)
    except UserError:
        raise
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise UserError(_why(name, source, error)) from error


def _load(name: str, source: str, device: torch.device) -> Checkpoint:
    from transformers import AutoConfig, AutoTokenizer, Qwen2_5_VLForConditionalGeneration

    if not Path(source).exists():
        _check_hub(name)
    config = AutoConfig.from_pretrained(source)
    kind = config.model_type
    if kind != "qwen2_5_vl":
        raise UserError(
            f"{name} is a {kind} model; AdaSpark runs on Qwen2.5-VL, such as "
            f"Qwen/Qwen2.5-VL-3B-Instruct, or on the bundled {BUNDLED}."
        )
    dtype = torch.float32 if name in BUNDLES else fastest(device, _parameters(config))
    model = Qwen2_5_VLForConditionalGeneration.from_pretrained(source, dtype=dtype)
    if name == BUNDLED_SPARSE:
        apply_delta(model, Path(source) / _DELTA)
    settings = _json(source, "preprocessor_config.json")
    return Checkpoint(
        name=name,
        model=model.to(device).eval(),
        tokenizer=AutoTokenizer.from_pretrained(source),
        sampling=_sampling(settings),
        mean=tuple(settings.get("image_mean", CLIP_MEAN)),
        std=tuple(settings.get("image_std", CLIP_STD)),
        config=own_config(source, sparse=name == BUNDLED_SPARSE),
    )


def _parameters(config: Any) -> int:
    """How many parameters a model of this shape has; nothing is allocated."""
    from transformers import Qwen2_5_VLForConditionalGeneration

    with torch.device("meta"):
        model = Qwen2_5_VLForConditionalGeneration(config)
    return sum(parameter.numel() for parameter in model.parameters())


def own_config(source: str | Path, *, sparse: bool = False) -> AdaSparkConfig:
    """The configuration in a checkpoint's `adaspark.json`, the package's own where it has none.

    Its key `sparse` holds what differs for the sparse-tuned weights.
    """
    values = _json(str(source), "adaspark.json")
    tuned = values.pop("sparse", {})
    return AdaSparkConfig.from_dict({**values, **tuned} if sparse else values)


def apply_delta(model: torch.nn.Module, path: Path) -> None:
    """Replace the parameters of `model` that the safetensors file holds, in the model's own dtype.

    Raises UserError where the file belongs to another model.
    """
    known = dict(model.named_parameters())
    for name, value in load_file(path).items():
        if name not in known or known[name].shape != value.shape:
            raise UserError(f"{path.name} belongs to another model: make it anew from this one.")
        known[name].data.copy_(value)


def _sampling(settings: dict[str, Any]) -> Sampling:
    """Hub checkpoints state the pixels of images; Qwen's own rule for video is 48 to 128 tokens."""
    token = 28 * 28
    video = "max_frames" in settings  # our own files say how to sample
    return Sampling(
        fps=settings.get("fps", 2.0),
        max_frames=settings.get("max_frames", 64),
        min_pixels=settings["min_pixels"] if video else 48 * token,
        max_pixels=settings["max_pixels"] if video else 128 * token,
        patch=settings.get("patch_size", 14),
        merge=settings.get("merge_size", 2),
        temporal_patch=settings.get("temporal_patch_size", 2),
    )


def _json(source: str, name: str) -> dict[str, Any]:
    """A JSON file of the checkpoint; empty where it has none."""
    from transformers.utils import cached_file

    path = cached_file(source, name, _raise_exceptions_for_missing_entries=False)
    values: dict[str, Any] = json.loads(Path(path).read_text("utf-8")) if path else {}
    return values


def _device(device: str) -> str:
    if device not in DEVICES:
        raise UserError(f"Unknown device {device!r}: choose one of {', '.join(DEVICES)}.")
    if device == "cuda" and not torch.cuda.is_available():
        raise UserError("This machine has no usable CUDA device: choose --device cpu or auto.")
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return device


def _source(name: str) -> str:
    if not name.strip():
        raise UserError(f"The model's name is blank: give {BUNDLED}, a folder, or a hub name.")
    if name in BUNDLES:
        if not (BUNDLED_FOLDER / "config.json").is_file():
            raise UserError(
                "The bundled model is not beside this installation: run from a clone of the "
                "repository (pip install -e .), or give --model a folder or a hub name."
            )
        if name == BUNDLED_SPARSE and not (BUNDLED_FOLDER / _DELTA).is_file():
            raise UserError(
                f"The sparse-tuned weights are not in assets/mini/{_DELTA}: make them with "
                f"`adaspark train --sparse --out FOLDER` and copy delta.safetensors there, or use "
                f"{BUNDLED}."
            )
        return str(BUNDLED_FOLDER)
    if max(len(part) for part in Path(name).parts) > _LONGEST_NAME:
        raise UserError(f"Unknown model {name[:40]!r}...: its name is too long for any folder.")
    if Path(name).exists() and not (Path(name) / "config.json").is_file():
        raise UserError(f"{name} holds no config.json: give a folder written by save_pretrained.")
    if not Path(name).exists() and name.count("/") != 1:
        raise UserError(
            f"Unknown model {name!r}: give {BUNDLED}, an existing folder, or a hub name such as "
            f"Qwen/Qwen2.5-VL-3B-Instruct."
        )
    return name


def _check_hub(name: str) -> None:
    """Fail at once where the hub cannot be reached: its client would retry for half a minute."""
    from huggingface_hub import constants, try_to_load_from_cache

    if isinstance(try_to_load_from_cache(name, "config.json"), str):
        return
    host = urlsplit(constants.ENDPOINT)
    port = host.port or (443 if host.scheme == "https" else 80)
    try:
        socket.create_connection((host.hostname, port), timeout=5).close()
    except OSError as error:
        raise UserError(_unreachable(name)) from error


def _unreachable(name: str) -> str:
    return (
        f"{name} cannot be fetched from the Hugging Face hub: check the network and the name, or "
        f"use the bundled model ({BUNDLED}) or a local folder."
    )


def _why(name: str, source: str, error: Exception) -> str:
    """One sentence for what transformers and the hub client say in many."""
    if Path(source).exists():
        return (
            f"The checkpoint in {name} cannot be loaded ({type(error).__name__}): write it again."
        )
    text = str(error)
    if "not a valid model identifier" in text or "404" in text or "gated" in text:
        return f"The hub has no open model {name!r}: check the name, or log in if it is gated."
    return _unreachable(name)
