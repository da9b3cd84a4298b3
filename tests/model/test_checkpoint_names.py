"""What a model may be called: a folder, a hub name and its revision, or an address."""

from __future__ import annotations

from pathlib import Path

import pytest

from adaspark.assets import BUNDLED_MODEL
from adaspark.errors import UserError
from adaspark.model.checkpoint_source import Source, locate

REPO = "Qwen/Qwen2.5-VL-3B-Instruct"
COMMIT = "66285546d2b821cf421d4f5eb2576359d3770cd3"


@pytest.mark.parametrize(
    "name, revision",
    [
        (REPO, None),
        (f" {REPO}\n", None),
        (f"{REPO}@main", "main"),
        (f"{REPO}@refs/pr/7", "refs/pr/7"),
        (f"{REPO}@{COMMIT}", COMMIT),
        (f"https://huggingface.co/{REPO}", None),
        (f"https://huggingface.co/{REPO}/", None),
        (f"http://huggingface.co/{REPO}?library=transformers#usage", None),
        (f"https://hf.co/{REPO}", None),
        (f"hf.co/{REPO}", None),
        (f"huggingface.co/{REPO}/tree/main", "main"),
        (f"https://huggingface.co/{REPO}/tree/v1.0/", "v1.0"),
        (f"https://huggingface.co/{REPO}/tree/refs%2Fpr%2F7", "refs/pr/7"),
        (f"https://huggingface.co/{REPO}/tree/refs/pr/7", "refs/pr/7"),
        (f"https://huggingface.co/{REPO}/blob/main/config.json", "main"),
        (f"https://huggingface.co/{REPO}/resolve/{COMMIT}/config.json", COMMIT),
        (f"https://huggingface.co/{REPO}/commit/{COMMIT}", COMMIT),
        (f"https://huggingface.co/{REPO}@v2", "v2"),
        (f"https://huggingface.co/{REPO}/discussions", None),
    ],
)
def test_a_hub_name_is_understood(name: str, revision: str | None) -> None:
    assert locate(name) == Source(name.strip(), None, REPO, revision)


def test_the_bundle_goes_by_its_name() -> None:
    assert locate("mini").folder == BUNDLED_MODEL


def test_a_folder_may_be_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    for place in (home / "models" / "x", home / "org" / "name@2"):
        place.mkdir(parents=True)
        (place / "config.json").write_text("{}")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(home)
    for name in ("~/models/x", "models/x", "./models/x", str(home / "models/x"), "models/x/"):
        assert locate(name).files.resolve() == (home / "models" / "x").resolve()
        assert locate(name).repo is None
    assert locate("org/name@2").files.name == "name@2"  # a folder comes before a revision


@pytest.mark.parametrize(
    "name, message",
    [
        ("", "name is blank"),
        (" \n", "name is blank"),
        ("m" * 5000, "too long for any folder"),
        ("Qwen2.5-VL-3B-Instruct", "Unknown model"),
        ("a/b/c", "Unknown model"),
        (f"{REPO}@", "Unknown model"),
        ("@main", "Unknown model"),
        ("~/none/of/this", "Unknown model"),
        ("~nobody-of-this-name/x", "Unknown model"),
        ("./models/none", "Unknown model"),
        ("/models/none", "Unknown model"),
        ("org/na me", "Unknown model"),
        ("https://example.org/Qwen/x", "not the address of a model on the hub"),
        ("https://huggingface.co/Qwen", "not the address of a model on the hub"),
        ("https://huggingface.co/datasets/a/b", "not the address of a model on the hub"),
        ("https://huggingface.co/spaces/a/b", "not the address of a model on the hub"),
        ("file:///tmp/x", "not the address of a model on the hub"),
        ("s3://bucket/key", "not the address of a model on the hub"),
    ],
)
def test_what_is_no_model_is_one_sentence(name: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as refused:
        locate(name)
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize(
    "file, content, message",
    [
        ("m.gguf", b"GGUF\3", "is a GGUF file, which llama.cpp runs"),
        ("weights", b"GGUF\3", "is a GGUF file, which llama.cpp runs"),
        ("model.safetensors", b"\x08", "is one file: give the folder that holds config.json"),
        ("x.zip", b"PK", "is one file: give the folder"),
    ],
)
def test_a_file_says_what_it_is(tmp_path: Path, file: str, content: bytes, message: str) -> None:
    (tmp_path / file).write_bytes(content)
    with pytest.raises(UserError, match=message):
        locate(str(tmp_path / file))


@pytest.mark.parametrize(
    "files, message",
    [
        ([], "is an empty folder"),
        (["a-Q4_K_M.gguf", "README.md"], "holds GGUF files, which llama.cpp runs"),
        (["model.safetensors"], "holds no config.json"),
    ],
)
def test_a_folder_that_is_no_checkpoint_says_what_it_is(
    tmp_path: Path, files: list[str], message: str
) -> None:
    for name in files:
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(UserError, match=message):
        locate(str(tmp_path))
