"""Checkpoints laid out file by file as the hub has Qwen2.5-VL, with small random weights.

The vocabulary is the bundled model's, or Qwen's real one where the PyPI package `dashscope` is
installed (its file of tokens is enough: `pip install --no-deps dashscope`).
"""

from __future__ import annotations

import base64
import json
import shutil
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoConfig, Qwen2_5_VLForConditionalGeneration

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
_SPECIAL = [
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|object_ref_start|>",
    "<|object_ref_end|>",
    "<|box_start|>",
    "<|box_end|>",
    "<|quad_start|>",
    "<|quad_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
]
_PLAIN_ADDED = [
    "<tool_call>",
    "</tool_call>",
    "<|fim_prefix|>",
    "<|fim_middle|>",
    "<|fim_suffix|>",
    "<|fim_pad|>",
    "<|repo_name|>",
    "<|file_sep|>",
]
_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|"
    r"\s*[\r\n]+|\s+(?!\S)|\s+"
)


def hub_checkpoint(
    folder: Path, *, layout: str = "old", layers: int = 4, real: bool = False, seed: int = 0
) -> Path:
    """Write a checkpoint; `layout` "old" has `chat_template.json` and an image preprocessor alone,
    "new" has `chat_template.jinja` and `video_preprocessor_config.json`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if real:
        _write_real_tokenizer(folder)
    else:
        shutil.copy(BUNDLED_MODEL / "tokenizer.json", folder)
    (folder / ".gitattributes").write_text("*.safetensors filter=lfs\n")
    (folder / "LICENSE").write_text("Apache-2.0\n")
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    write_json(folder / "config.json", _config(layers, _ids(folder)))
    write_json(folder / "generation_config.json", _generation(_ids(folder)))
    own_template = {"chat_template": TEXT_TEMPLATE, "eos_token": "<|im_end|>"}
    tokenizer_class = {"tokenizer_class": "Qwen2Tokenizer" if real else "PreTrainedTokenizerFast"}
    more = {"pad_token": "<|endoftext|>", "model_max_length": 131072, "add_bos_token": False}
    write_json(folder / "tokenizer_config.json", {**own_template, **tokenizer_class, **more})
    write_json(folder / "preprocessor_config.json", IMAGE_PREPROCESSOR)
    if layout == "old":
        write_json(folder / "chat_template.json", {"chat_template": VIDEO_TEMPLATE})
    else:
        (folder / "chat_template.jinja").write_text(VIDEO_TEMPLATE)
        write_json(folder / "video_preprocessor_config.json", VIDEO_PREPROCESSOR)
    _write_weights(folder, seed)
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


def has_real_vocabulary() -> bool:
    return _real_tokens() is not None


def _ids(folder: Path) -> dict[str, int]:
    tokens = json.loads((folder / "tokenizer.json").read_text("utf-8"))["added_tokens"]
    return {token["content"]: token["id"] for token in tokens}


def _config(layers: int, ids: dict[str, int]) -> dict[str, Any]:
    """The flat layout of the hub's config.json."""
    return {
        "architectures": ["Qwen2_5_VLForConditionalGeneration"],
        "attention_dropout": 0.0,
        "bos_token_id": ids["<|endoftext|>"],
        "eos_token_id": ids["<|im_end|>"],
        "vision_start_token_id": ids["<|vision_start|>"],
        "vision_end_token_id": ids["<|vision_end|>"],
        "image_token_id": ids["<|image_pad|>"],
        "video_token_id": ids["<|video_pad|>"],
        "hidden_act": "silu",
        "hidden_size": 64,
        "initializer_range": 0.02,
        "intermediate_size": 96,
        "max_position_embeddings": 128000,
        "max_window_layers": 70,
        "model_type": "qwen2_5_vl",
        "num_attention_heads": 4,
        "num_hidden_layers": layers,
        "num_key_value_heads": 2,
        "rms_norm_eps": 1e-6,
        "rope_theta": 1000000.0,
        "sliding_window": 32768,
        "tie_word_embeddings": True,
        "torch_dtype": "bfloat16",
        "transformers_version": "4.41.2",
        "use_cache": True,
        "use_sliding_window": False,
        "vision_config": {
            "depth": 2,
            "hidden_act": "silu",
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_heads": 2,
            "in_chans": 3,
            "out_hidden_size": 64,
            "patch_size": 14,
            "spatial_merge_size": 2,
            "spatial_patch_size": 14,
            "window_size": 112,
            "fullatt_block_indexes": [1],
            "tokens_per_second": 2,
            "temporal_patch_size": 2,
        },
        "rope_scaling": {"type": "mrope", "mrope_section": [2, 3, 3]},
        "vocab_size": 151936 if len(ids) > 10 else 768,
    }


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


def _write_weights(folder: Path, seed: int) -> None:
    """Two shards and their index, in bf16, under the hub's names."""
    torch.manual_seed(seed)
    model = Qwen2_5_VLForConditionalGeneration(AutoConfig.from_pretrained(folder))
    tensors = {}
    for name, value in model.state_dict().items():
        if name == "lm_head.weight":  # tied
            continue
        # Trained weights are sharper than fresh ones: without this every softmax is flat.
        sharper = value * 8 if value.dim() == 2 and "norm" not in name else value
        hub = name.replace("model.language_model.", "model.").replace("model.visual.", "visual.")
        tensors[hub] = sharper.to(torch.bfloat16).contiguous()
    names = sorted(tensors, key=lambda name: ("visual" in name, name))
    parts = {"model-00001-of-00002.safetensors": names[::2]}
    parts["model-00002-of-00002.safetensors"] = names[1::2]
    for file, held in parts.items():
        save_file({n: tensors[n] for n in held}, folder / file, metadata={"format": "pt"})
    table = {name: file for file, held in parts.items() for name in held}
    size = sum(value.nbytes for value in tensors.values())
    index = {"metadata": {"total_size": size}, "weight_map": dict(sorted(table.items()))}
    write_json(folder / "model.safetensors.index.json", index)


@cache
def _real_tokens() -> dict[bytes, int] | None:
    found = find_spec("dashscope")
    places = found.submodule_search_locations if found else None
    path = Path(next(iter(places))) / "resources" / "qwen.tiktoken" if places else None
    if path is None or not path.is_file():
        return None
    lines = (line.split() for line in path.read_bytes().splitlines() if line)
    return {base64.b64decode(token): int(rank) for token, rank in lines}


def _write_real_tokenizer(folder: Path) -> None:
    """Qwen's tokens and merges, from the ranks alone, as tokenizer.json, vocab.json, merges.txt."""
    ranks = _real_tokens()
    assert ranks is not None
    letters = _byte_letters()

    def spelled(token: bytes) -> str:
        return "".join(letters[byte] for byte in token)

    vocab = {spelled(token): rank for token, rank in ranks.items()}
    pairs = [(spelled(a), spelled(b)) for a, b in _merges(ranks)]
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=pairs))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(t, special=True) for t in _SPECIAL])
    tokenizer.add_tokens([AddedToken(token, special=False) for token in _PLAIN_ADDED])
    tokenizer.save(str(folder / "tokenizer.json"))
    write_json(folder / "vocab.json", vocab)
    lines = "\n".join(f"{a} {b}" for a, b in pairs)
    (folder / "merges.txt").write_text(f"#version: 0.2\n{lines}\n", encoding="utf-8")


def _merges(ranks: dict[bytes, int]) -> list[tuple[bytes, bytes]]:
    """The pair from which each token was merged: what its own parts leave when merged below it."""
    found = []
    for token, rank in sorted(ranks.items(), key=lambda item: item[1]):
        parts = [token[i : i + 1] for i in range(len(token))]
        while len(parts) > 2:
            places = [(ranks.get(parts[i] + parts[i + 1], rank), i) for i in range(len(parts) - 1)]
            least, i = min(places)
            if least >= rank:
                break
            parts[i : i + 2] = [parts[i] + parts[i + 1]]
        if len(parts) == 2:
            found.append((parts[0], parts[1]))
    return found


def _byte_letters() -> dict[int, str]:
    """GPT-2's printable letter for each byte."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in plain]
    return {b: chr(b) for b in plain} | {b: chr(256 + i) for i, b in enumerate(others)}
