"""`adaspark tune` on a small checkpoint of the hub's own layout: it learns, resumes, is loaded."""

from __future__ import annotations

import json
import re
import shutil
import warnings
from pathlib import Path

import pytest
import torch
from checkpoints import hub_checkpoint
from clips import write_clip
from safetensors.torch import load_file

from adaspark import cli
from adaspark.errors import UserError
from adaspark.inspect.inputs import Pair
from adaspark.model.checkpoint import load
from adaspark.model.qwen import restore
from adaspark.tune.cli import split

pytest.importorskip("peft")
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")
SHOWN = ("--max-frames", "4", "--cube", "1,2,2", "--attn-top-p", "0.5", "--ffn-top-p", "0.5")
QUICK = ("--lora", "4", "--learning-rate", "0.01", "--accumulate", "2", "--held-out", "0.25")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint, two clips, one file that is none, and questions with one kind of answer."""
    folder = tmp_path_factory.mktemp("tune")
    hub_checkpoint(folder / "model")
    for name in ("a", "b"):
        write_clip(folder / f"{name}.mp4", frames=8)
    (folder / "bad.mp4").write_text("no video")
    rows = [
        {"video": f"{name}.mp4", "question": f"Which color is {n}?", "answer": "blue circle"}
        for name in ("a", "b")
        for n in range(4)
    ]
    rows.append({"video": "bad.mp4", "question": "Which?", "answer": "none"})
    (folder / "qa.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder


def tune(folder: Path, out: str, *options: str) -> int:
    where = ("--model", str(folder / "model"), "--data", str(folder / "qa.jsonl"))
    return cli.main(["tune", *where, "--out", str(folder / out), *SHOWN, *QUICK, *options])


def losses(folder: Path, out: str) -> dict[str, float]:
    found: dict[str, float] = json.loads((folder / out / "metrics.json").read_text())
    return found


@pytest.fixture(scope="module")
def tuned(folder: Path) -> Path:
    assert tune(folder, "whole", "--steps", "12", "--save-every", "6") == 0
    return folder / "whole"


def test_the_loss_on_held_out_pairs_falls(folder: Path, tuned: Path) -> None:
    found = losses(folder, "whole")
    assert found["loss_after"] < 0.7 * found["loss_before"]


def test_the_language_model_alone_is_adapted(tuned: Path) -> None:
    weights = load_file(tuned / "adapter_model.safetensors")
    assert weights and all(".language_model.layers." in name for name in weights)
    assert any(value.abs().max() > 0 for name, value in weights.items() if "lora_B" in name)


def test_it_says_how_far_it_is_and_nothing_else(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert tune(folder, "heard", "--steps", "2", "--gradient-checkpointing") == 0
    said = capsys.readouterr()
    result, ask = said.out.splitlines()
    assert re.fullmatch(r"Loss on \d held-out pairs?: [\d.]+ before, [\d.]+ after\.", result)
    assert ask.startswith("adaspark ask ")
    lines = [line for line in re.split(r"[\r\n]+", said.err) if "step" not in line]
    assert "2/2 [" in said.err
    (refused,) = [line for line in lines if line.strip()]
    assert refused.startswith("adaspark: bad.mp4 is not a video")


def test_the_hub_is_not_asked_for_the_base(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(
        "peft.utils.save_and_load.check_file_exists_on_hf_hub",
        lambda name, file: asked.append(name),
    )
    assert tune(folder, "alone", "--steps", "1", "--model", "mini") == 0
    assert asked == []
    named = json.loads((folder / "alone" / "adapter_config.json").read_text("utf-8"))
    assert named["base_model_name_or_path"] == "mini"


@pytest.mark.long
def test_a_stopped_run_goes_on_as_if_it_had_not_been(folder: Path, tuned: Path) -> None:
    shutil.copytree(tuned, folder / "half")
    (folder / "half" / "adapter_model.safetensors").unlink()
    state = folder / "half" / "checkpoints"
    shutil.rmtree(state)
    assert tune(folder, "half", "--steps", "6", "--save-every", "6") == 0
    assert [path.name for path in state.iterdir()] == ["checkpoint-6"]
    assert tune(folder, "half", "--steps", "12", "--save-every", "6") == 0
    one, other = (load_file(folder / o / "adapter_model.safetensors") for o in ("whole", "half"))
    for name, value in one.items():
        torch.testing.assert_close(value, other[name])


def test_the_adapter_is_loaded_beside_its_base_or_alone(
    folder: Path, tuned: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = load(str(folder / "model"), device="cpu")
    beside = load(str(folder / "model"), device="cpu", adapter=str(tuned))
    alone = load(str(tuned), device="cpu")
    name = "model.language_model.layers.0.mlp.up_proj.weight"
    states = [restore(each.model).state_dict()[name] for each in (plain, beside, alone)]
    assert torch.equal(states[1], states[2]) and not torch.equal(states[0], states[1])
    ask = ["ask", str(folder / "a.mp4"), "Which color is 3?", "--model", str(folder / "model")]
    capsys.readouterr()
    assert cli.main([*ask, "--adapter", str(tuned), *SHOWN, "--max-new-tokens", "4"]) == 0
    assert capsys.readouterr().out.strip() == "blue circle"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--lora", "0"], "rank must be at least 1"),
        (["--steps", "0"], "steps must be at least 1"),
        (["--learning-rate", "2"], "learning_rate"),
        (["--held-out", "1"], "--held-out"),
        (["--attn-top-p", "2"], "top_p"),
    ],
)
def test_what_cannot_be_used_is_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str], options: list[str], words: str
) -> None:
    assert tune(folder, "refused", *options) == 2
    assert words in capsys.readouterr().err.splitlines()[-1]


def test_a_row_without_an_answer_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "open.jsonl").write_text('{"video": "a.mp4", "question": "Why?"}\n')
    arguments = ["tune", "--data", str(folder / "open.jsonl"), "--out", str(folder / "open")]
    assert cli.main(arguments) == 2
    assert "'Why?'" in capsys.readouterr().err


def test_a_folder_without_an_adapter_is_named(folder: Path) -> None:
    with pytest.raises(UserError, match="not a LoRA adapter"):
        load("mini", device="cpu", adapter=str(folder / "model"))


@pytest.mark.parametrize("name", ["nope", "empty"])
def test_it_is_said_that_the_adapter_is_what_cannot_be_used(folder: Path, name: str) -> None:
    (folder / "empty").mkdir(exist_ok=True)
    given = name if name == "nope" else str(folder / name)
    with pytest.raises(UserError, match=r"^The adapter cannot be used: .*(nope|is an empty)"):
        load("mini", device="cpu", adapter=given)


def test_held_out_pairs_are_not_trained_on() -> None:
    pairs = [Pair("a.mp4", str(n), "yes") for n in range(20)]
    train, held = split(pairs, 0.1, 0)
    assert len(held) == 2 and not set(held) & set(train) and {*held, *train} == set(pairs)
    assert split(pairs, 0.1, 0)[1] == held and split(pairs, 0.0, 0)[1] == []
