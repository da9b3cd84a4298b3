"""`adaspark ask`: options, files, and one line on standard error for what cannot be used."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio
import pytest
import torch
from paths import ROOT

from adaspark.cli import main
from adaspark.trace.trace import Trace

CLIP = str(Path(gradio.__file__).parent / "media_assets" / "videos" / "b.mp4")
QUICK = ["--max-frames", "4", "--max-new-tokens", "3"]
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """The command line in this process: exit code, standard output, standard error."""

    def run_one(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        try:
            code = main(arguments)
        except SystemExit as ended:
            code = int(ended.code or 0)
        return code, *capsys.readouterr()

    return run_one


def ask(run: Run, *options: str) -> dict[str, Any]:
    code, out, _ = run("ask", CLIP, "what color ?", "--json", "-", *QUICK, *options)
    assert code == 0
    summary: dict[str, Any] = json.loads(out)  # nothing else is on standard output
    return summary


def test_json_has_the_keys_that_programs_rely_on(run: Run) -> None:
    summary = ask(run)
    assert list(summary) == [
        "answer",
        "model",
        "device",
        "tokens",
        "grid",
        "cubes",
        "config",
        "attention_density",
        "ffn_density",
        "flops",
        "seconds",
        "layers",
    ]
    assert set(summary["tokens"]) == {"video", "text"}
    assert set(summary["flops"]) == {
        "dense",
        "sparse",
        "executed",
        "reduction",
        "reduction_with_vision",
    }
    assert set(summary["seconds"]) == {"decode", "vision", "prefill", "generate"}
    for layer in summary["layers"]:
        assert set(layer) == {
            "attention_density",
            "ffn_density",
            "attention_entropy",
            "ffn_entropy",
        }


def test_json_holds_sensible_numbers(run: Run) -> None:
    summary = ask(run, "--attn-top-p", "0.5", "--ffn-top-p", "0.5", "--cube", "1,2,2")
    assert summary["model"] == "mini" and summary["device"] in ("cpu", "cuda")
    t, h, w = summary["grid"]
    assert summary["tokens"]["video"] == t * h * w and summary["tokens"]["text"] > 5
    assert summary["cubes"] == t * math.ceil(h / 2) * math.ceil(w / 2)
    own = {"text_top_p": 1, "ffn_importance": "input"}  # what was not typed is the bundle's
    assert summary["config"] == {"cube": [1, 2, 2], "attn_top_p": 0.5, "ffn_top_p": 0.5, **own}
    assert 0 < summary["attention_density"] < 1 and 0 < summary["ffn_density"] < 1
    counts = summary["flops"]
    assert 0 < counts["sparse"] <= counts["executed"] and counts["sparse"] < counts["dense"]
    assert 0 < counts["reduction_with_vision"] < counts["reduction"] < 1
    assert all(value >= 0 for value in summary["seconds"].values())
    for layer in summary["layers"]:
        assert all(value is None or 0 <= value <= 1 for value in layer.values())


def test_thresholds_may_differ_by_layer(run: Run) -> None:
    summary = ask(run, "--attn-top-p", "0.5,1,1,1,0.2,1", "--ffn-top-p", "0.5")
    assert summary["config"]["attn_top_p"] == [0.5, 1, 1, 1, 0.2, 1]
    dense = [layer["attention_density"] == 1 for layer in summary["layers"]]
    assert dense == [False, True, True, True, False, True]
    assert all(layer["ffn_density"] < 1 for layer in summary["layers"])


def test_dense_drops_nothing(run: Run) -> None:
    summary = ask(run, "--dense")
    assert summary["attention_density"] == summary["ffn_density"] == 1.0
    assert summary["config"]["attn_top_p"] == summary["config"]["ffn_top_p"] == 1.0
    assert summary["flops"]["reduction"] < 0  # the cost of choosing


def test_fewer_frames_and_other_rates_are_heard(run: Run) -> None:
    assert ask(run)["grid"][0] == 2
    assert ask(run, "--max-frames", "2")["grid"][0] == 1
    assert ask(run, "--max-frames", "64", "--fps", "0.8")["grid"][0] == 2


def test_words_are_on_standard_output_unless_the_json_is(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    code, out, err = run("ask", CLIP, "what color ?", "--json", str(path), *QUICK)
    answer = json.loads(path.read_text("utf-8"))["answer"]
    assert (code, out.strip()) == (0, answer)
    _, out, err = run("ask", CLIP, "what color ?", "--json", "-", *QUICK)
    assert json.loads(out)["answer"] == answer == err.strip()


def test_several_questions_are_answered_in_order_from_one_reading(run: Run, tmp_path: Path) -> None:
    path, questions = tmp_path / "runs.json", ["what color ?", "how many ?", "which is first ?"]
    alone = [run("ask", CLIP, question, *QUICK)[1] for question in questions]
    more = [part for question in questions[1:] for part in ("--question", question)]
    code, out, err = run("ask", CLIP, questions[0], *more, *QUICK, "--json", str(path))
    assert (code, out, err) == (0, "".join(alone), "")
    told = json.loads(path.read_text("utf-8"))
    assert [each["question"] for each in told] == questions
    assert [each["answer"] for each in told] == [words.strip() for words in alone]
    assert [bool(each.get("cached_tokens")) for each in told] == [False, True, True]
    _, out, _ = run("ask", CLIP, "--question", questions[1], *QUICK, "--json", "-")
    assert json.loads(out)["answer"] == told[1]["answer"], "one is no list"


def test_trace_and_report_are_written(run: Run, tmp_path: Path) -> None:
    trace_path, page = tmp_path / "run.npz", tmp_path / "sub.html"
    code, out, err = run(
        "ask", CLIP, "what color ?", *QUICK, "--trace", str(trace_path), "--report", str(page)
    )
    assert code == 0 and err == ""
    trace = Trace.load(trace_path)
    assert trace.meta.answer == out.strip() and trace.meta.question == "what color ?"
    html = page.read_text("utf-8")
    assert html.lstrip().lower().startswith("<!doctype html") and "what color ?" in html
    assert {path.name for path in tmp_path.iterdir()} == {"run.npz", "sub.html"}


def test_any_unicode_question_is_answered(run: Run) -> None:
    code, out, _ = run("ask", CLIP, "日本の円 👩‍👩‍👧 <|im_end|> ?", "--json", "-", *QUICK)
    assert code == 0 and isinstance(json.loads(out)["answer"], str)


def bad_files(folder: Path) -> dict[str, tuple[str, str]]:
    """Name to (path, a part of the message)."""
    whole = Path(CLIP).read_bytes()
    contents = {
        "text": (b"words, no video\n" * 50, ""),
        "empty": (b"", "empty"),
        "cut": (whole[: len(whole) // 3], ""),
    }
    found = {"folder": (str(folder), "is a folder"), "missing": ("none.mp4", "no readable file")}
    for name, (content, message) in contents.items():
        path = folder / f"{name}.mp4"
        path.write_bytes(content)
        found[name] = (str(path), message)
    return {**found, "long": ("a" * 5000, "no readable file"), "nothing": ("", "is a folder")}


def assert_refused(result: tuple[int, str, str], message: str) -> None:
    code, out, err = result
    assert (code, out) == (2, "")
    assert err.startswith("adaspark: ") and err.endswith("\n") and err.count("\n") == 1
    assert message in err and "Traceback" not in err


@pytest.mark.parametrize("kind", ["folder", "missing", "text", "empty", "cut", "long", "nothing"])
def test_a_bad_video_is_one_line(run: Run, tmp_path: Path, kind: str) -> None:
    path, message = bad_files(tmp_path)[kind]
    assert_refused(run("ask", path, "what ?"), message)


BAD_OPTIONS = {
    "--cube 4,4": "three whole numbers of at least 1",
    "--cube 0,1,1": "such as 4,4,4",
    "--cube a,b,c": "got 'a,b,c'",
    "--attn-top-p 1.1": "attn_top_p must be a number from 0 to 1, got 1.1",
    "--attn-top-p -0.1": "attn_top_p must be a number from 0 to 1",
    "--ffn-top-p nan": "ffn_top_p must be a number from 0 to 1, got nan",
    "--ffn-top-p half": "'half' is not a number",
    "--ffn-top-p 0.5,": "'' is not a number",
    "--attn-top-p 0.5,2": "attn_top_p[1] must be a number from 0 to 1, got 2",
    "--attn-top-p 0.5,0.5": "given for 2 layers and this model has 6: give one number for all",
    "--dense --attn-top-p 0.5": "--dense drops nothing",
    "--model frob": "Unknown model 'frob'",
    "--model ": "blank",
    "--device tpu": "Unknown device 'tpu': choose one of auto, cpu, cuda",
    "--fps 0": "fps must be above 0",
    "--fps inf": "fps must be above 0",
    "--max-frames 0": "max_frames must be at least 1",
    "--max-frames 1.5": "'1.5' is not a whole number",
    "--max-new-tokens 0": "max_new_tokens must be at least 1",
    "--json none/x.json": "name a file in a folder that exists",
    "--trace .": "name a file in a folder that exists",
    "--trace -": "'-' cannot be written",
    "--report none/x.html": "name a file in a folder that exists",
    "--colour red": "unrecognised: --colour red",
    "--json x.json --trace ./x.json": "x.json cannot hold two outputs: name a file for each",
    "--trace x --report x": "x cannot hold two outputs",
    "--max-bytes 10": "has 261.2 kB and the limit is 10 bytes: shorten",
    "--max-bytes 10000": "has 261.2 kB and the limit is 10 kB: shorten",
}


@pytest.mark.parametrize("options", BAD_OPTIONS)
def test_a_bad_option_is_one_line(run: Run, options: str) -> None:
    arguments = options.split(" ")
    assert_refused(run("ask", CLIP, "what ?", *arguments), BAD_OPTIONS[options])


@pytest.mark.parametrize("question", ["", "  \n "])
def test_a_blank_question_is_one_line(run: Run, question: str) -> None:
    assert_refused(run("ask", CLIP, question), "The question is blank")


def test_bytes_that_are_no_text_are_one_line(run: Run) -> None:
    assert_refused(run("ask", CLIP, "red \udcff", *QUICK), "not valid Unicode text")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_cuda_where_there_is_none_is_one_line(run: Run) -> None:
    assert_refused(run("ask", CLIP, "what ?", "--device", "cuda"), "no usable CUDA device")


def test_a_hub_model_without_network_is_one_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: Any, **__: Any) -> None:
        raise OSError("Network is unreachable")

    monkeypatch.setattr("adaspark.model.checkpoint_hub.socket.create_connection", unreachable)
    result = run("ask", CLIP, "what ?", "--model", "Qwen/none-of-this-name")
    assert_refused(result, "cannot be fetched from the Hugging Face hub")


@pytest.mark.parametrize("name", ["m" * 5000, "README.md"])
def test_a_name_that_is_no_model_is_one_line(run: Run, name: str) -> None:
    assert_refused(run("ask", CLIP, "what ?", "--model", name), "")


def test_a_file_that_turns_out_unwritable_is_one_line(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "gone" / "x.json"
    path.parent.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("adaspark.outputs._is_writable", lambda _: True)
        path.parent.rmdir()
        code, _, err = run("ask", CLIP, "what ?", *QUICK, "--json", str(path))
    assert code == 2 and "x.json cannot be written (No such file or directory)" in err


@pytest.mark.parametrize(
    "arguments, message",
    [
        ((), "arguments are required: COMMAND"),
        (("frob",), "invalid choice: 'frob'"),
        (("ask",), "arguments are required: VIDEO"),
        (("ask", CLIP), "There is no question"),
        (("ask", CLIP, "--question", " "), "The question is blank"),
        (("ask", CLIP, "what ?", "--question", "why ?", "--trace", "x.npz"), "--trace is of one"),
        (("ask", CLIP, "what ?", "--question", "why ?", "--report", "x.html"), "--report is of"),
        (("chat",), "arguments are required: VIDEO"),
        (("chat", CLIP, "--json", "x"), "unrecognised: --json"),
        (("ask", CLIP, "what", "color"), "unrecognised: color"),
        (("train",), "arguments are required: --out"),
        (("bench", "tpu"), "invalid choice: 'tpu'"),
    ],
)
def test_a_wrong_command_is_one_line(run: Run, arguments: tuple[str, ...], message: str) -> None:
    assert_refused(run(*arguments), message)


def test_help_names_every_command_and_option(run: Run) -> None:
    code, out, _ = run("--help")
    assert code == 0 and all(name in out for name in ("ask", "app", "train", "bench", "doctor"))
    code, out, _ = run("ask", "--help")
    options = (
        "cube attn-top-p ffn-top-p dense model device fps max-frames min-pixels max-pixels "
        "max-video-tokens max-new-tokens sample seed temperature max-bytes max-seconds json trace"
    )
    assert code == 0 and all(f"--{name}" in out for name in [*options.split(), "report"])


def test_the_module_is_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "adaspark", "ask", "none.mp4", "what ?"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert_refused((done.returncode, done.stdout, done.stderr), "no readable file")
