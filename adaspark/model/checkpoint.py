"""A model's name to what runs it: weights, tokenizer, and how it wants its frames.

Everything small is fetched and checked before the weights are.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from adaspark.assets import BUNDLED_MODEL
from adaspark.errors import UserError
from adaspark.method.config import AdaSparkConfig
from adaspark.model.adapter import Adapter, named_adapter, read_adapter, with_adapter
from adaspark.model.chat_template import give_template
from adaspark.model.checkpoint_files import (
    blamed,
    check_settings,
    check_weights,
    read_json,
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
from adaspark.model.checkpoint_weights import apply_delta, load_weights, plan_for
from adaspark.model.context import stretch
from adaspark.model.decoding import Decoding
from adaspark.model.families import Family, family_of, known_family, refusal
from adaspark.model.prompt import VIDEO_PAD
from adaspark.model.quantised import check_quantised, is_quantised
from adaspark.video.sampling import Sampling

__all__ = ["BUNDLED", "BUNDLED_MODEL", "BUNDLED_SPARSE", "BUNDLES", "Checkpoint", "load"]
DEVICES = ("auto", "cpu", "cuda")


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
    def family(self) -> Family:
        """What is particular to this kind of model."""
        return known_family(self.model.config)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        device: torch.device = self.model.device
        return device


def load(
    name: str = BUNDLED,
    *,
    device: str = "auto",
    adapter: str | None = None,
    yarn: float | None = None,
) -> Checkpoint:
    """Load `mini`, `mini-sparse`, a local folder, or a model of the Hugging Face hub by name.

    A hub name may carry a revision (`ORG/NAME@REVISION`) or be an address; a LoRA adapter brings
    its base model, or is put as `adapter` on the named one. Weights are fp32 for the bundled
    models; any other is bf16 (fp16 where a GPU has no bf16), or fp32 on a CPU that is faster so;
    they go straight to the GPU, to several if one is too small. `yarn` stretches the context by
    this factor. Raises UserError where the name is unknown, the hub cannot be reached, the model is
    of no known family or too large for the memory that is free, or a file is missing, damaged or
    lacks weights.
    """
    place = torch.device(_device(device))

    def read(found: Source) -> _Small | Adapter:
        return _read_small(found, place, yarn)

    source, small = settled(locate(name), read)
    given = small if isinstance(small, Adapter) else None
    if given is not None:
        source, small = settled(locate(given.base), read)
    if isinstance(small, Adapter):
        raise UserError(f"{name} adapts {source.name}, an adapter itself: merge that one first.")
    adapters = [given, None if adapter is None else named_adapter(adapter)]
    plan = plan_for(source, small.model_config, place)
    fetch_weights(source)
    check_weights(source)
    model = load_weights(source, small.model_config, plan)
    if name == BUNDLED_SPARSE:
        with blamed(source, SPARSE_DELTA):
            apply_delta(model, source.files / SPARSE_DELTA)
    for each in filter(None, adapters):
        model = with_adapter(model, each)
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


def _read_small(source: Source, device: torch.device, yarn: float | None) -> _Small | Adapter:
    """Read and check everything but the weights. Raises UserError for the first thing wrong."""
    from transformers import AutoConfig, GenerationConfig

    if (adapter := read_adapter(source)) is not None:
        return adapter
    check_settings(source)
    with blamed(source, "config.json"):
        config = AutoConfig.from_pretrained(source.files)
    if (family := family_of(config)) is None:
        raise refusal(source.name, config.model_type)
    if yarn is not None:
        stretch(config, yarn)
    if is_quantised(config):
        check_quantised(source, config, device)
    if (source.files / "generation_config.json").is_file():
        with blamed(source, "generation_config.json"):
            GenerationConfig.from_pretrained(source.files)
    return _Small(
        config,
        _tokenizer(source, config),
        frame_settings(source, device, frames_apart=family.frames_apart),
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


def own_config(folder: str | Path, *, sparse: bool = False) -> AdaSparkConfig:
    """The configuration in a folder's `adaspark.json`, the package's own where it has none.

    Its key `sparse` holds what differs for the sparse-tuned weights.
    """
    values = read_json(Source(str(folder), Path(folder)), "adaspark.json")
    tuned = values.pop("sparse", {})
    return AdaSparkConfig.from_dict({**values, **tuned} if sparse else values)


def _device(device: str) -> str:
    if device not in DEVICES:
        raise UserError(f"Unknown device {device!r}: choose one of {', '.join(DEVICES)}.")
    if device == "cuda" and not torch.cuda.is_available():
        raise UserError("This machine has no usable CUDA device: choose --device cpu or auto.")
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return device
