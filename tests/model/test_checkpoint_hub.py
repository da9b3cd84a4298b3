"""From the hub: what is small first, the cache before the network, one sentence for what fails."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from checkpoints import edit_json, hub_checkpoint, linked, replace_file
from fake_hub import COMMITS, FakeHub, fake_hub

from adaspark.errors import UserError
from adaspark.model import checkpoint_hub
from adaspark.model.checkpoint import load
from adaspark.model.checkpoint_hub import settled
from adaspark.model.checkpoint_source import locate

REPO = "Qwen/Qwen2.5-VL-3B-Instruct"
SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return hub_checkpoint(tmp_path_factory.mktemp("hub") / "Qwen2.5-VL")


@pytest.fixture
def hub(stored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    with fake_hub(monkeypatch, tmp_path / "cache") as running:
        running.repositories[REPO] = linked(tmp_path / "repository", stored)
        yield running


def refusal(name: str) -> str:
    with pytest.raises(UserError) as refused:
        load(name, device="cpu")
    assert "\n" not in str(refused.value)
    return str(refused.value)


def fetched(hub: FakeHub, name: str) -> bool:
    return any(path.endswith(f"/{name}") for path in hub.log)


@pytest.mark.parametrize("name", [REPO, f"{REPO}@v2", f"https://huggingface.co/{REPO}/tree/v2"])
def test_a_repository_loads_by_name_revision_and_address(hub: FakeHub, name: str) -> None:
    loaded = load(name, device="cpu")
    assert loaded.name == name and loaded.model.config.text_config.num_hidden_layers == 4
    assert "You are a helpful assistant." in loaded.tokenizer.chat_template
    commit = "b" * 40 if "v2" in name else "a" * 40
    assert any(commit in path for path in hub.log)


def test_what_the_cache_holds_whole_asks_no_network(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(REPO, device="cpu")
    hub.log.clear()

    def unreachable(*_: Any, **__: Any) -> None:
        raise OSError("Network is unreachable")

    monkeypatch.setattr(checkpoint_hub.socket, "create_connection", unreachable)
    assert load(REPO, device="cpu").name == REPO and hub.log == []


def test_what_the_cache_lacks_is_fetched(hub: FakeHub) -> None:
    """As after a tool that wanted no processor, or a download that was interrupted."""
    found, _ = settled(locate(REPO), lambda source: None)
    (found.files / "chat_template.json").unlink()
    load(REPO, device="cpu")
    assert fetched(hub, "chat_template.json") and fetched(hub, SHARDS[1])
    (found.files / SHARDS[1]).unlink()
    hub.log.clear()
    load(REPO, device="cpu")
    assert not fetched(hub, SHARDS[0])


def test_weights_are_those_of_the_commit_that_was_read(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    settled(locate(REPO), lambda source: None)
    monkeypatch.setitem(COMMITS, "main", "b" * 40)  # somebody pushed in between
    assert load(REPO, device="cpu").name == REPO


@pytest.mark.few(2)
@pytest.mark.parametrize(
    "file, content",
    [
        ("config.json", b'{"model_type": "bert"}'),
        ("generation_config.json", b"{"),
        ("tokenizer.json", b"{}"),
        ("chat_template.json", b'{"chat_template": "{{ messages }}"}'),
    ],
)
def test_the_weights_are_not_fetched_where_the_rest_is_wrong(
    hub: FakeHub, file: str, content: bytes
) -> None:
    replace_file(hub.repositories[REPO] / file, content)
    assert REPO in refusal(REPO)
    assert not any(fetched(hub, name) for name in SHARDS)


def test_a_damaged_file_names_the_command(hub: FakeHub) -> None:
    replace_file(hub.repositories[REPO] / "generation_config.json", b"{")
    text = refusal(f"{REPO}@v2")
    command = f"hf download {REPO} generation_config.json --revision v2 --force-download"
    assert command in text and "write it again" not in text


def test_a_repository_that_is_not_there_is_one_sentence(hub: FakeHub) -> None:
    assert "no open model 'Qwen/none'" in refusal("Qwen/none") and "hf auth login" in refusal(
        "Qwen/none"
    )


def test_a_revision_that_is_not_there_is_one_sentence(hub: FakeHub) -> None:
    assert f"{REPO} has no revision 'v9'" in refusal(f"{REPO}@v9")


def test_a_gated_repository_says_how_to_be_let_in(hub: FakeHub) -> None:
    hub.gated.add(REPO)
    text = refusal(REPO)
    assert "is gated: accept its terms" in text and "hf auth login" in text


def test_a_repository_of_gguf_files_says_what_it_is(hub: FakeHub, tmp_path: Path) -> None:
    folder = tmp_path / "gguf"
    folder.mkdir()
    (folder / "model-q4.gguf").write_bytes(b"GGUF")
    hub.repositories["org/gguf"] = folder
    assert "holds GGUF files, which llama.cpp runs" in refusal("org/gguf")


@pytest.mark.parametrize("file", ["config.json", SHARDS[0]])
def test_a_connection_that_is_lost_is_one_sentence(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda _: None)
    hub.cut.add(file)
    text = refusal(REPO)
    assert "cannot be fetched from the Hugging Face hub" in text and "is kept" in text
    hub.cut.clear()
    assert load(REPO, device="cpu").name == REPO


def test_without_network_and_cache_it_is_said_at_once(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", address)
    assert "cannot be fetched from the Hugging Face hub" in refusal(REPO)


def test_offline_mode_is_obeyed(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE forbids" in refusal(REPO) and hub.log == []


def test_a_checkpoint_of_our_own_on_the_hub_brings_its_settings(hub: FakeHub) -> None:
    place = hub.repositories[REPO] / "adaspark.json"
    place.write_text("{}")
    edit_json(place, cube=[2, 3, 4])
    assert load(REPO, device="cpu").config.cube == (2, 3, 4)
