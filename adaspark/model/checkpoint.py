"""A model's name to what runs it: weights, tokenizer, and how it wants its frames.

Everything small is fetched and checked before the weights are.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from adaspark.assets import BUNDLED_MODEL
from adaspark.errors import UserError
from adaspark.method.config import AdaSparkConfig
from adaspark.model.adapter import Adapter, read_adapter, with_adapter
from adaspark.model.chat_template import give_template
from adaspark.model.checkpoint_files import (
    blamed,
    check_settings,
    check_weights,
    read_json,
    some,
    unusable,
)
from adaspark.model.checkpoint_frames import FrameSettings, frame_settings
from adaspark.model.checkpoint_hub import fetch_weights, settled
from adaspark.model.checkpoint_source import (
    BUNDLED,
    BUNDLED_SPARSE,
    BUNDLES,
    SPARSE_DELTA,
    Source,
    locate,
)
from adaspark.model.decoding import Decoding
from adaspark.model.precision import fastest
from adaspark.model.prompt import VIDEO_PAD
from adaspark.model.quantised import check_quantised, is_quantised
from adaspark.video.sampling import Sampling

__all__ = ["BUNDLED", "BUNDLED_MODEL", "BUNDLED_SPARSE", "BUNDLES", "Checkpoint", "load"]
DEVICES = ("auto", "cpu", "cuda")
_A_LAYER = re.compile(r"(layers|blocks)\.\d+\.")


@dataclass(frozen=True)
class Checkpoint:
    """A loaded model. `sampling`, `mean` and `std` come from its processor's configuration,
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

    A hub name may carry a revision (`ORG/NAME@REVISION`) or be an address; a LoRA adapter brings
    its base model. Weights are fp32 for the bundled models; any other is bf16, or fp32 on a CPU
    that is faster so. Raises UserError where the name is unknown, the hub cannot be reached, the
    model is not a Qwen2.5-VL, or a file is missing, damaged or lacks weights.
    """
    place = torch.device(_device(device))
    source, small = settled(locate(name), lambda found: _read_small(found, place))
    adapter = small if isinstance(small, Adapter) else None
    if adapter is not None:
        source, small = settled(locate(adapter.base), lambda found: _read_small(found, place))
    if isinstance(small, Adapter):
        raise UserError(f"{name} adapts {source.name}, an adapter itself: merge that one first.")
    fetch_weights(source)
    check_weights(source)
    model = _model(source, small, place)
    if name == BUNDLED_SPARSE:
        with blamed(source, SPARSE_DELTA):
            apply_delta(model, source.files / SPARSE_DELTA)
    if adapter is not None:
        model = with_adapter(model, adapter)
    with blamed(source, "generation_config.json"):
        nothing = torch.tensor([[0]], device=place)
        Decoding(model, nothing, tokenizer=small.tokenizer, max_new_tokens=1)
    frames = small.frames
    return Checkpoint(
        name=name,
        model=model.eval(),
        tokenizer=small.tokenizer,
        sampling=frames.sampling,
        mean=frames.mean,
        std=frames.std,
        config=small.config,
    )


@dataclass(frozen=True)
class _Small:
    """What a checkpoint holds apart from its weights."""

    model_config: Any
    tokenizer: Any
    frames: FrameSettings
    config: AdaSparkConfig


def _read_small(source: Source, device: torch.device) -> _Small | Adapter:
    """Read and check everything but the weights. Raises UserError for the first thing wrong."""
    from transformers import AutoConfig, GenerationConfig

    if (adapter := read_adapter(source)) is not None:
        return adapter
    check_settings(source)
    with blamed(source, "config.json"):
        config = AutoConfig.from_pretrained(source.files)
    kind = config.model_type
    if kind != "qwen2_5_vl":
        raise UserError(
            f"{source.name} is a {kind} model; AdaSpark runs on Qwen2.5-VL, such as "
            f"Qwen/Qwen2.5-VL-3B-Instruct, or on the bundled {BUNDLED}."
        )
    if is_quantised(config):
        check_quantised(source, config, device)
    if (source.files / "generation_config.json").is_file():
        with blamed(source, "generation_config.json"):
            GenerationConfig.from_pretrained(source.files)
    return _Small(
        config,
        _tokenizer(source, config),
        frame_settings(source, device),
        own_config(source.files, sparse=source.name == BUNDLED_SPARSE),
    )


def _tokenizer(source: Source, config: Any) -> Any:
    """The tokenizer with the checkpoint's chat template, both fit for this model."""
    from transformers import AutoTokenizer

    with blamed(source, "tokenizer.json"):
        tokenizer = AutoTokenizer.from_pretrained(source.files)
    give_template(source, tokenizer)
    known, held = len(tokenizer), config.text_config.vocab_size
    if known > held or tokenizer.convert_tokens_to_ids(VIDEO_PAD) != config.video_token_id:
        what = f"is another model's ({known:,} tokens of {held:,}, or another {VIDEO_PAD})"
        raise unusable(source, "tokenizer.json", what)
    return tokenizer


def _model(source: Source, small: _Small, device: torch.device) -> Any:
    """The model with every weight from its files: what they lack would be random."""
    from transformers import Qwen2_5_VLForConditionalGeneration

    config = small.model_config
    placing: dict[str, Any] = {}
    dtype: torch.dtype | str
    if is_quantised(config):
        placing, dtype = {"device_map": {"": device}}, "auto"
    elif source.name in BUNDLES:
        dtype = torch.float32
    else:
        dtype = fastest(device, _parameters(config))
    with blamed(source, ""):
        model, info = Qwen2_5_VLForConditionalGeneration.from_pretrained(
            source.files,
            dtype=dtype,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # so that they are told, below
            **placing,
        )
    _check_loaded(source, info, extras_matter=not is_quantised(config))
    return model if placing else model.to(device)


def _check_loaded(source: Source, info: dict[str, Any], *, extras_matter: bool) -> None:
    """Refuse a model whose files lack weights, or hold layers or shapes that it has not.

    Beside a quantised weight lie its scales, which some methods leave among the extras.
    """
    extra = [name for name in info["unexpected_keys"] if _A_LAYER.search(name)]
    what = f"; the files hold others, such as {some(extra)}" if extra else ""
    if missing := info["missing_keys"]:
        raise UserError(
            f"{source.name} lacks {len(missing):,} weights ({some(missing)}){what}: its "
            f"config.json and its files do not belong together; {source.remedy()}."
        )
    if extra and extras_matter:
        raise UserError(
            f"{source.name} holds weights that its config.json has no place for ({some(extra)}): "
            f"{source.remedy()}."
        )
    if wrong := {str(key[0]): key[1:] for key in info["mismatched_keys"]}:
        name, shapes = next(iter(sorted(wrong.items())))
        held, expected = (tuple(shape) for shape in shapes)
        raise UserError(
            f"{source.name} holds {len(wrong):,} weights of another shape than its config.json "
            f"says, such as {name}, {held} for {expected}: {source.remedy()}."
        )


def _parameters(config: Any) -> int:
    """How many parameters a model of this shape has; nothing is allocated."""
    from transformers import Qwen2_5_VLForConditionalGeneration

    with torch.device("meta"):
        model = Qwen2_5_VLForConditionalGeneration(config)
    return sum(parameter.numel() for parameter in model.parameters())


def own_config(folder: str | Path, *, sparse: bool = False) -> AdaSparkConfig:
    """The configuration in a folder's `adaspark.json`, the package's own where it has none.

    Its key `sparse` holds what differs for the sparse-tuned weights.
    """
    values = read_json(Source(str(folder), Path(folder)), "adaspark.json")
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


def _device(device: str) -> str:
    if device not in DEVICES:
        raise UserError(f"Unknown device {device!r}: choose one of {', '.join(DEVICES)}.")
    if device == "cuda" and not torch.cuda.is_available():
        raise UserError("This machine has no usable CUDA device: choose --device cpu or auto.")
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return device
