"""Sparse tuning moves what it says, resumes, and leaves a delta that makes `mini-sparse`."""

from __future__ import annotations

import json
from argparse import Namespace
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from adaspark.cli import main
from adaspark.errors import UserError
from adaspark.method.config import AdaSparkConfig
from adaspark.mini.training import train as train_module
from adaspark.mini.training.config import TrainConfig
from adaspark.mini.training.data import batches
from adaspark.mini.training.model import build_model, save_bundle
from adaspark.mini.training.sparse_tuning import OTHER_CUBES, REACH, SparseTrainer
from adaspark.mini.training.stages import STAGES, Clips
from adaspark.mini.training.tokenizer import train_tokenizer
from adaspark.mini.training.train import sparse_trainer, train
from adaspark.mini.training.weights import read_start
from adaspark.model import checkpoint, checkpoint_source

TINY = (Clips(8, (56, 56), (1, 2)),)
OWN: dict[str, Any] = {"cube": [2, 2, 2], "attn_top_p": 0.9, "ffn_top_p": 0.7}


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of random weights."""
    folder = tmp_path_factory.mktemp("bundle")
    tokenizer = train_tokenizer()
    save_bundle(build_model(tokenizer, seed=5), tokenizer, folder)
    (folder / "adaspark.json").write_text(json.dumps({**OWN, "sparse": {"attn_top_p": 0.55}}))
    return folder


def trainer(folder: Path, fresh: Path) -> SparseTrainer:
    config = TrainConfig(
        folder, seed=3, tokens=400, asked=2, workers=0, test_every=2, test_clips=2, device="cpu"
    )
    made = sparse_trainer(config, fresh, steps=2)
    stage = replace(made.config.stages[0], clips=TINY, test=TINY[0])
    made.config = replace(made.config, stages=(stage,))
    return made


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory, fresh: Path) -> tuple[Path, SparseTrainer]:
    folder = tmp_path_factory.mktemp("tuned")
    made = trainer(folder, fresh)
    train(made)
    return folder, made


def test_only_attention_and_norms_of_the_language_model_move(
    tuned: tuple[Path, SparseTrainer], fresh: Path
) -> None:
    folder, made = tuned
    before, _ = read_start(fresh, torch.device("cpu"))
    moved = {
        name
        for name, value in made.model.state_dict().items()
        if not torch.equal(value, before[name])
    }
    assert moved and moved <= made.trained
    assert all("visual" not in name and "mlp" not in name for name in made.trained)
    for layer in range(6):
        for part in ("q_proj.weight", "k_proj.bias", "v_proj.weight", "o_proj.weight"):
            assert f"model.language_model.layers.{layer}.self_attn.{part}" in moved
    saved = load_file(folder / "delta.safetensors")
    assert saved.keys() == made.trained
    assert {value.dtype for value in saved.values()} == {torch.bfloat16}
    assert (folder / "delta.safetensors").stat().st_size < 2.6e6


def test_the_log_has_the_tested_families_and_their_transitions(
    tuned: tuple[Path, SparseTrainer],
) -> None:
    (line,) = map(json.loads, (tuned[0] / "log.jsonl").read_text().splitlines())
    assert line["step"] == 2 and "answer_loss" in line and isinstance(line["learnt"], dict)


@pytest.mark.long
def test_a_tuning_cut_in_two_gives_the_same_weights(
    tuned: tuple[Path, SparseTrainer], fresh: Path, tmp_path: Path
) -> None:
    part = trainer(tmp_path, fresh)
    for batch in batches(part.packer, part.config.stages[0], part.spec, range(1), workers=0):
        part.train_step(batch)
        part.step = part.stage_step = 1
    part.save()
    again = trainer(tmp_path, fresh)
    train(again)
    assert again.step == 2
    for name, value in tuned[1].model.state_dict().items():
        assert torch.equal(value, again.model.state_dict()[name]), name


def test_thresholds_and_cubes_are_drawn_anew_and_from_the_step_alone(
    fresh: Path, tmp_path: Path
) -> None:
    made = trainer(tmp_path, fresh)
    drawn: list[AdaSparkConfig] = []
    for step in range(60):
        made.step = step
        drawn.append(made.drawn())
        assert made.drawn() == drawn[-1]
    assert len({c.attn_top_p for c in drawn}) == len({c.ffn_top_p for c in drawn}) == 60
    for name in ("attn_top_p", "ffn_top_p"):
        far = [abs(getattr(config, name) - OWN[name]) for config in drawn]
        assert 0 < max(far) <= REACH and sum(apart < REACH / 2 for apart in far) > 30, name
        assert all(0 <= getattr(config, name) <= 1 for config in drawn), name
    others = {c.cube for c in drawn} - {(2, 2, 2)}
    assert len(others) > 1 and others < set(OTHER_CUBES)
    assert sum(c.cube == (2, 2, 2) for c in drawn) > 30


@pytest.fixture
def copied(fresh: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The bundle where `mini` is looked for, with room for other files."""
    for file in fresh.iterdir():
        (tmp_path / file.name).symlink_to(file)
    monkeypatch.setattr(checkpoint_source, "BUNDLED_MODEL", tmp_path)
    return tmp_path


def test_the_delta_on_the_bundle_is_the_tuned_model(
    tuned: tuple[Path, SparseTrainer], copied: Path
) -> None:
    (copied / "sparse.safetensors").write_bytes((tuned[0] / "delta.safetensors").read_bytes())
    plain = checkpoint.load("mini", device="cpu")
    sparse = checkpoint.load("mini-sparse", device="cpu")
    assert sparse.config.attn_top_p == 0.55 != plain.config.attn_top_p
    assert sparse.config.cube == plain.config.cube and sparse.name == "mini-sparse"
    assert sparse.model.dtype == torch.float32
    wanted = tuned[1].model.state_dict()
    for name, value in sparse.model.state_dict().items():
        torch.testing.assert_close(value, wanted[name], atol=1e-2, rtol=1e-2)
    changed = [
        n for n, v in plain.model.state_dict().items()
        if not torch.equal(v, sparse.model.state_dict()[n])
    ]  # fmt: skip
    assert changed and set(changed) <= tuned[1].trained


@pytest.mark.usefixtures("copied")
def test_without_the_file_mini_sparse_says_how_to_make_it() -> None:
    with pytest.raises(UserError, match=r"adaspark train --sparse --out FOLDER.*or use mini"):
        checkpoint.load("mini-sparse", device="cpu")


def test_a_delta_of_another_model_is_refused(
    tuned: tuple[Path, SparseTrainer], copied: Path
) -> None:
    from safetensors.torch import save_file

    save_file({"model.other": torch.zeros(2)}, copied / "sparse.safetensors")
    with pytest.raises(UserError, match="belongs to another model"):
        checkpoint.load("mini-sparse", device="cpu")
    (copied / "sparse.safetensors").write_bytes(b"no safetensors")
    with pytest.raises(UserError, match=r"sparse\.safetensors of mini-sparse cannot be used"):
        checkpoint.load("mini-sparse", device="cpu")


@pytest.mark.parametrize(
    "options, why",
    [
        (["--steps", "5"], "goes with --sparse"),
        (["--sparse", "--steps", "0"], "a whole number from 1"),
        (["--sparse", "--from", "nowhere"], "nowhere does not exist"),
        (["--from", "tests"], "holds no"),
        (["--stage", "end"], "choose one of words, "),
        (["--sparse", "--stage", "last"], "goes without --sparse"),
    ],
)
def test_a_start_that_cannot_be_is_refused(
    options: list[str], why: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "--out", str(tmp_path), *options]) == 2
    error = capsys.readouterr().err
    assert why in error and error.count("\n") == 1


@pytest.mark.parametrize("stage", [None, "places"])
def test_a_dense_run_from_a_bundle_begins_at_the_last_stage_or_where_asked(
    stage: str | None, fresh: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(train_module, "train", seen.append)
    arguments = Namespace(
        out=tmp_path, seed=0, hours=None, sparse=False, source=fresh, stage=stage, steps=None
    )
    train_module.main(arguments)
    (made,) = seen
    assert STAGES[made.stage_index].name == (stage or STAGES[-1].name)
    before, _ = read_start(fresh, torch.device("cpu"))
    for name, value in made.model.state_dict().items():
        assert torch.equal(value, before[name])
