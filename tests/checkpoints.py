"""Checkpoints laid out file by file as the hub has each family, with small random weights.

The vocabulary is the bundled model's, or Qwen's real one (`real_vocabulary.py`).
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from checkpoint_configs import (
    APART_IMAGE_PREPROCESSOR,
    APART_VIDEO_PREPROCESSOR,
    IMAGE_PREPROCESSOR,
    VIDEO_PREPROCESSOR,
    config_of,
    is_apart,
)
from real_vocabulary import write_real_tokenizer
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForImageTextToText

from adaspark.assets import BUNDLED_MODEL

VIDEO_TEMPLATE = (
    "{% set image_count = namespace(value=0) %}{% set video_count = namespace(value=0) %}"
    "{% for message in messages %}{% if loop.first and message['role'] != 'system' %}"
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n{% endif %}"
    "<|im_start|>{{ message['role'] }}\n{% if message['content'] is string %}"
    "{{ message['content'] }}<|im_end|>\n{% else %}{% for content in message['content'] %}"
    "{% if content['type'] == 'image' or 'image' in content or 'image_url' in content %}"
    "{% set image_count.value = image_count.value + 1 %}"
    "{% if add_vision_id %}Picture {{ image_count.value }}: {% endif %}"
    "<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif content['type'] == 'video' or 'video' in content %}"
    "{% set video_count.value = video_count.value + 1 %}"
    "{% if add_vision_id %}Video {{ video_count.value }}: {% endif %}"
    "<|vision_start|><|video_pad|><|vision_end|>{% elif 'text' in content %}"
    "{{ content['text'] }}{% endif %}{% endfor %}<|im_end|>\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
TEXT_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + "
    "message['content'] + '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


def hub_checkpoint(
    folder: Path,
    *,
    family: str = "qwen2_5_vl",
    layout: str = "old",
    layers: int = 4,
    real: bool = False,
    seed: int = 0,
) -> Path:
    """Write a checkpoint; `layout` "old" has `chat_template.json` and an image preprocessor alone,
    "new" has `chat_template.jinja` and `video_preprocessor_config.json`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if real:
        write_real_tokenizer(folder)
    else:
        shutil.copy(BUNDLED_MODEL / "tokenizer.json", folder)
    (folder / ".gitattributes").write_text("*.safetensors filter=lfs\n")
    (folder / "LICENSE").write_text("Apache-2.0\n")
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    ids = _ids(folder)
    write_json(
        folder / "config.json", config_of(family, layers, ids, 151936 if len(ids) > 10 else 768)
    )
    write_json(folder / "generation_config.json", _generation(ids))
    own_template = {"chat_template": TEXT_TEMPLATE, "eos_token": "<|im_end|>"}
    tokenizer_class = {"tokenizer_class": "Qwen2Tokenizer" if real else "PreTrainedTokenizerFast"}
    more = {"pad_token": "<|endoftext|>", "model_max_length": 131072, "add_bos_token": False}
    write_json(folder / "tokenizer_config.json", {**own_template, **tokenizer_class, **more})
    images, videos = IMAGE_PREPROCESSOR, VIDEO_PREPROCESSOR
    if is_apart(family):
        images, videos = APART_IMAGE_PREPROCESSOR, APART_VIDEO_PREPROCESSOR
    write_json(folder / "preprocessor_config.json", images)
    if layout == "old":
        write_json(folder / "chat_template.json", {"chat_template": VIDEO_TEMPLATE})
    else:
        (folder / "chat_template.jinja").write_text(VIDEO_TEMPLATE)
    if layout != "old" or is_apart(family):
        write_json(folder / "video_preprocessor_config.json", videos)
    _write_weights(folder, family, seed)
    return folder


def write_json(path: Path, values: Any) -> None:
    path.write_text(json.dumps(values, ensure_ascii=False, indent=1), encoding="utf-8")


def edit_json(path: Path, **changes: Any) -> None:
    """Change values of a JSON file; None drops one."""
    values = {**json.loads(path.read_text("utf-8")), **changes}
    write_json(path, {name: value for name, value in values.items() if value is not None})


def linked(folder: Path, source: Path) -> Path:
    """A copy of a checkpoint whose files may be replaced (never written into) at no cost."""
    folder.mkdir(parents=True)
    for path in source.iterdir():
        (folder / path.name).symlink_to(path)
    return folder


def replace_file(path: Path, content: bytes) -> None:
    path.unlink(missing_ok=True)
    path.write_bytes(content)


def _ids(folder: Path) -> dict[str, int]:
    tokens = json.loads((folder / "tokenizer.json").read_text("utf-8"))["added_tokens"]
    return {token["content"]: token["id"] for token in tokens}


def _generation(ids: dict[str, int]) -> dict[str, Any]:
    return {
        "bos_token_id": ids["<|endoftext|>"],
        "pad_token_id": ids["<|endoftext|>"],
        "do_sample": True,
        "eos_token_id": [ids["<|im_end|>"], ids["<|endoftext|>"]],
        "repetition_penalty": 1.05,
        "temperature": 0.000001,
        "transformers_version": "4.49.0",
    }


def _write_weights(folder: Path, family: str, seed: int) -> None:
    """Two shards and their index, in bf16, under the hub's names."""
    torch.manual_seed(seed)
    model = AutoModelForImageTextToText.from_config(AutoConfig.from_pretrained(folder))
    with torch.no_grad():
        for name, value in model.named_parameters():
            # Trained weights are sharper than fresh ones: without this every softmax is flat.
            if value.dim() >= 2 and "norm" not in name:
                value.mul_(8)
    tensors = _as_on_the_hub(model, family, folder)
    names = sorted(tensors, key=lambda name: ("visual" in name, name))
    parts = {"model-00001-of-00002.safetensors": names[::2]}
    parts["model-00002-of-00002.safetensors"] = names[1::2]
    for file, held in parts.items():
        save_file({n: tensors[n] for n in held}, folder / file, metadata={"format": "pt"})
    table = {name: file for file, held in parts.items() for name in held}
    size = sum(value.nbytes for value in tensors.values())
    index = {"metadata": {"total_size": size}, "weight_map": dict(sorted(table.items()))}
    write_json(folder / "model.safetensors.index.json", index)


def _as_on_the_hub(model: Any, family: str, folder: Path) -> dict[str, torch.Tensor]:
    """The weights by the hub's names, tied ones once; Qwen3.5 has a draft layer beside them."""
    saved = folder / "saved"
    model.to(torch.bfloat16).save_pretrained(saved)  # it gives names and shapes of the hub
    tensors = load_file(saved / "model.safetensors")
    shutil.rmtree(saved)
    if family.startswith("qwen3_5"):
        tensors["mtp.fc.weight"] = torch.zeros(64, 128, dtype=torch.bfloat16)
    return tensors
