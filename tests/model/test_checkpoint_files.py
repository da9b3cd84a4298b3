"""A file that is missing, cut short or wrong is named, with the command that fetches it again;
weights that no file holds are never made up."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from checkpoints import edit_json, hub_checkpoint, linked, replace_file, write_json
from safetensors.torch import load_file, save_file

from adaspark.assets import BUNDLED_MODEL
from adaspark.errors import UserError
from adaspark.model import checkpoint
from adaspark.model.checkpoint import load
from adaspark.model.checkpoint_source import Source

INDEX = "model.safetensors.index.json"
SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 4\n"
Spoil = Callable[[Path], object]


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return hub_checkpoint(tmp_path_factory.mktemp("hub") / "Qwen2.5-VL")


@pytest.fixture
def folder(stored: Path, tmp_path: Path) -> Path:
    return linked(tmp_path / "my model", stored)


def fresh(path: Path) -> Path:
    """The path as a file of its own in place of the link."""
    content = path.read_bytes()
    replace_file(path, content)
    return path


def refusal(folder: Path) -> str:
    with pytest.raises(UserError) as refused:
        load(str(folder), device="cpu")
    text = str(refused.value)
    assert len(text) < 900 and "\n" not in text and "Traceback" not in text
    return text


@pytest.mark.parametrize("file", SHARDS)
def test_a_missing_shard_is_named_with_the_command(folder: Path, file: str) -> None:
    (folder / file).unlink()
    text = refusal(folder)
    assert f"lacks {file}" in text
    assert f"hf download ORG/NAME {file} --local-dir '{folder}'" in text


def test_a_half_shard_is_named_with_its_size(folder: Path) -> None:
    path = fresh(folder / SHARDS[1])
    whole = path.stat().st_size
    path.write_bytes(path.read_bytes()[: whole // 2])
    text = refusal(folder)
    assert text.startswith(SHARDS[1]) and f"{whole // 2:,} bytes of {whole:,}" in text


@pytest.mark.parametrize(
    "content", [b"", b"x" * 99, b"\xff" * 200, b"\x08" + b"\0" * 7 + b"{}      "]
)
def test_a_shard_that_is_no_safetensors_is_named(folder: Path, content: bytes) -> None:
    replace_file(folder / SHARDS[0], content)
    assert SHARDS[0] in refusal(folder) and "hf download" in refusal(folder)


@pytest.mark.parametrize(
    "file", [*SHARDS, INDEX, "tokenizer.json", "config.json", "chat_template.json"]
)
def test_a_pointer_of_git_lfs_is_named(folder: Path, file: str) -> None:
    replace_file(folder / file, POINTER)
    assert f"{file} of" in refusal(folder) and "Git LFS pointer" in refusal(folder)


@pytest.mark.parametrize(
    "file",
    [
        "config.json",
        "generation_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "preprocessor_config.json",
        "chat_template.json",
        INDEX,
    ],
)
@pytest.mark.parametrize("content", [b"", b'{"a": ', b"no", b"[1]", b"\xff\xfe{}"])
def test_a_file_that_is_no_json_is_named(folder: Path, file: str, content: bytes) -> None:
    replace_file(folder / file, content)
    text = refusal(folder)
    assert text.startswith(f"{file} of {folder}") and "hf download ORG/NAME" in text


@pytest.mark.parametrize(
    "file, content",
    [
        ("config.json", b'{"model_type": "qwen2_5_vl", "hidden_size": "wide"}'),
        ("config.json", b'{"model_type": "qwen2_5_vl", "vision_config": 3}'),
        ("config.json", b"{}"),
        ("tokenizer.json", b"{}"),
        ("tokenizer.json", b'{"model": {"type": "BPE"}}'),
        ("preprocessor_config.json", b'{"patch_size": "large"}'),
        ("preprocessor_config.json", b'{"image_mean": [1]}'),
        ("preprocessor_config.json", b'{"max_frames": 4, "min_pixels": 90, "max_pixels": 50}'),
        ("video_preprocessor_config.json", b'{"size": {"shortest_edge": "x"}}'),
        ("video_preprocessor_config.json", b'{"fps": -1}'),
        (INDEX, b"{}"),
        (INDEX, b'{"weight_map": {"model.norm.weight": "../x.safetensors"}}'),
    ],
)
def test_a_file_with_wrong_values_is_named(folder: Path, file: str, content: bytes) -> None:
    replace_file(folder / file, content)
    assert file in refusal(folder)


@pytest.mark.parametrize(
    "content, message",
    [
        (
            b'{"model_type": "bert"}',
            "is a bert model; AdaSpark runs on Qwen2-VL, Qwen2.5-VL, Qwen3",
        ),
        (
            b'{"model_type": "glm46v"}',
            "cannot run: its video tokens bear the image's id, and a norm",
        ),
        (
            b'{"model_type": "internvl"}',
            "cannot run: no grid of its video tokens reaches the model",
        ),
        (b'{"model_type": "smolvlm"}', "cannot run: no grid of its video tokens reaches the model"),
        (b'{"model_type": "llava_onevision"}', "nothing says where a token stands. How to add a"),
        (b'{"model_type": "qwen3_vl_text"}', "is the text part of Qwen3-VL alone: give the whole"),
    ],
)
def test_another_model_is_refused(folder: Path, content: bytes, message: str) -> None:
    replace_file(folder / "config.json", content)
    assert message in refusal(folder)


@pytest.mark.parametrize(
    "content, message",
    [
        (b'{"attn_top_p": 2}', "attn_top_p must be a number from 0 to 1"),
        (b'{"top": 2}', "Unknown setting 'top'"),
    ],
)
def test_wrong_settings_of_ours_are_refused(folder: Path, content: bytes, message: str) -> None:
    replace_file(folder / "adaspark.json", content)
    assert message in refusal(folder)


def test_no_weights_at_all_are_refused(folder: Path) -> None:
    for name in (*SHARDS, INDEX):
        (folder / name).unlink()
    assert "has no weights" in refusal(folder)


def without_layer(path: Path) -> None:
    table = json.loads(path.read_text())
    table["weight_map"] = {k: v for k, v in table["weight_map"].items() if "layers.2." not in k}
    replace_file(path, json.dumps(table).encode())


def without_shard(path: Path) -> None:
    table = json.loads(path.read_text())
    table["weight_map"] = {k: v for k, v in table["weight_map"].items() if v == SHARDS[0]}
    replace_file(path, json.dumps(table).encode())


def rewrite(folder: Path, rename: Callable[[str], str | None]) -> None:
    """The weights under other names, an index that agrees; None drops one."""
    table: dict[str, str] = {}
    for file in SHARDS:
        tensors = {rename(name): value for name, value in load_file(folder / file).items()}
        kept = {name: value for name, value in tensors.items() if name is not None}
        (folder / file).unlink()
        save_file(kept, folder / file, metadata={"format": "pt"})
        table |= dict.fromkeys(kept, file)
    replace_file(folder / INDEX, json.dumps({"metadata": {}, "weight_map": table}).encode())


LACKING: dict[str, tuple[Spoil, str]] = {
    "a layer is in no file": (
        lambda f: rewrite(f, lambda n: None if "layers.2." in n else n),
        r"lacks \d+ weights \(model\.language_model\.layers\.2\.",
    ),
    "one bias is in no file": (
        lambda f: rewrite(f, lambda n: None if n.endswith("layers.1.self_attn.q_proj.bias") else n),
        r"lacks 1 weights \(model\.language_model\.layers\.1\.self_attn\.q_proj\.bias\)",
    ),
    "a block of the vision tower is in no file": (
        lambda f: rewrite(f, lambda n: None if "blocks.1.attn" in n else n),
        r"lacks \d+ weights \(model\.visual\.blocks\.1\.attn",
    ),
    "the embeddings are in no file": (
        lambda f: rewrite(f, lambda n: None if "embed_tokens" in n else n),
        r"lacks .*embed_tokens",
    ),
    "another prefix": (
        lambda f: rewrite(f, lambda n: f"base.{n}"),
        r"lacks 8\d weights .*holds? others, such as base\.model\.layers",
    ),
    "config of more layers": (
        lambda f: edit_json(fresh(f / "config.json"), num_hidden_layers=8),
        r"lacks \d+ weights .*layers\.4\.",
    ),
    "config of fewer layers": (
        lambda f: edit_json(fresh(f / "config.json"), num_hidden_layers=3),
        r"no place for .*layers\.3\.",
    ),
    "config of another width": (
        lambda f: edit_json(fresh(f / "config.json"), intermediate_size=112),
        r"of another shape.*mlp.*96.*112",
    ),
    "head of its own, not in a file": (
        lambda f: edit_json(fresh(f / "config.json"), tie_word_embeddings=False),
        r"lacks 1 weights \(lm_head\.weight\)",
    ),
    "index without a layer that a shard holds": (
        lambda f: without_layer(f / INDEX),
        r"index\.json of .* does not list model\.layers\.2\..*, which model-0000\d-of",
    ),
    "index without a shard": (
        lambda f: without_shard(f / INDEX),
        r"lacks \d+ weights \(.* and \d+ more\)",
    ),
    "index lists what its shard lacks": (
        lambda f: rewrite_shard_alone(f),
        r"model-00002-of-00002\.safetensors of .* lacks .*, which its index lists",
    ),
}


def rewrite_shard_alone(folder: Path) -> None:
    tensors = load_file(folder / SHARDS[1])
    (folder / SHARDS[1]).unlink()
    save_file(dict(list(tensors.items())[:-3]), folder / SHARDS[1], metadata={"format": "pt"})


@pytest.mark.parametrize("case", LACKING)
def test_weights_that_no_file_holds_are_named_and_refused(folder: Path, case: str) -> None:
    spoil, pattern = LACKING[case]
    spoil(folder)
    text = refusal(folder)
    assert re.search(pattern, text), text
    assert "hf download ORG/NAME" in text


def test_a_head_that_is_tied_need_not_be_stored(folder: Path) -> None:
    model = load(str(folder), device="cpu").model
    assert model.lm_head.weight.data_ptr() == model.get_input_embeddings().weight.data_ptr()


def test_a_checkpoint_in_one_file_loads(folder: Path) -> None:
    tensors = {k: v for file in SHARDS for k, v in load_file(folder / file).items()}
    for name in (*SHARDS, INDEX):
        (folder / name).unlink()
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    assert load(str(folder), device="cpu").name == str(folder)


@pytest.mark.parametrize("gone", [["tokenizer.json"], ["tokenizer.json", "tokenizer_config.json"]])
def test_a_checkpoint_without_tokenizer_is_one_sentence(folder: Path, gone: list[str]) -> None:
    for name in gone:
        (folder / name).unlink()
    assert "has no tokenizer: it needs tokenizer.json, or vocab.json" in refusal(folder)


def test_another_model_s_tokenizer_is_refused(folder: Path) -> None:
    edit_json(fresh(folder / "config.json"), video_token_id=3)
    assert "tokenizer.json" in refusal(folder) and "is another model's" in refusal(folder)


def test_nothing_is_read_of_the_weights_before_the_rest_is_right(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(*_: object, **__: object) -> None:
        raise AssertionError("weights were read")

    monkeypatch.setattr(checkpoint, "check_weights", read)
    replace_file(folder / "generation_config.json", b"{")
    assert "generation_config.json" in refusal(folder)


def test_the_bundle_is_restored_by_git(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "git checkout -- assets/mini" in Source("mini", BUNDLED_MODEL).remedy("config.json")


def test_a_folder_of_the_hub_s_cache_knows_its_name(tmp_path: Path) -> None:
    folder = tmp_path / "models--Qwen--Qwen2.5-VL-3B-Instruct" / "snapshots" / "0a1b"
    folder.mkdir(parents=True)
    write_json(folder / "config.json", {})
    text = Source(str(folder), folder).remedy("tokenizer.json")
    assert "hf download Qwen/Qwen2.5-VL-3B-Instruct tokenizer.json --force-download" in text
