"""`adaspark ask` on a checkpoint as the hub lays it out, from the command line to the words."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import gradio
import pytest
from checkpoints import hub_checkpoint
from real_vocabulary import has_real_vocabulary
from transformers.utils import logging

from adaspark.cli import main

CLIPS = Path(gradio.__file__).parent / "media_assets" / "videos"
CLIP, LARGE = str(CLIPS / "b.mp4"), str(CLIPS / "a.mp4")
QUICK = ("--max-frames", "4", "--max-pixels", "12544", "--max-new-tokens", "6")
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """The command line in this process: exit code, standard output, standard error."""

    def run_one(*arguments: str, clip: str = CLIP) -> tuple[int, str, str]:
        capsys.readouterr()
        try:
            code = main(["ask", clip, "What happens?", *arguments])
        except SystemExit as ended:
            code = int(ended.code or 0)
        return code, *capsys.readouterr()

    return run_one


@pytest.fixture(scope="module", params=["old", "new", "old, real", "new, real"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    layout, *real = request.param.split(", ")
    if real and not has_real_vocabulary():
        pytest.skip("Qwen's own vocabulary: pip install --no-deps dashscope")
    folder = tmp_path_factory.mktemp("hub") / "Qwen2.5-VL"
    return str(hub_checkpoint(folder, layout=layout, real=bool(real)))


def test_the_readme_s_command_answers(run: Run, model: str) -> None:
    code, out, err = run("--model", model, "--json", "-", *QUICK)
    assert code == 0, err
    told = json.loads(out)
    assert told["model"] == model and told["answer"].strip()
    slices, rows, columns = told["grid"]
    assert slices == 2 and rows * columns * 28 * 28 <= 12544


def test_drawn_words_depend_on_the_seed_alone(run: Run, model: str) -> None:
    drawn = ("--sample", "--temperature", "3", "--model", model, *QUICK)
    answers = [run(*drawn, "--seed", seed)[1] for seed in ("5", "5", "6")]
    assert answers[0] == answers[1] != answers[2]


def test_what_a_cpu_takes_away_is_said(run: Run, tmp_path: Path) -> None:
    given = ("--model", str(hub_checkpoint(tmp_path / "x", layers=1)), "--device", "cpu")
    given = (*given, "--max-new-tokens", "1", "--fps", "4")
    code, _, err = run(*given, clip=LARGE)
    assert code == 0 and err.startswith("adaspark: frames are shown at")
    assert "instead of 1008 x 560" in err and "max_video_tokens" in err and err.count("\n") == 1
    assert run(*given, *QUICK, clip=LARGE)[2] == ""


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("--seed", "3"), "--seed says how words are drawn: give --sample"),
        (("--temperature", "0.5"), "--temperature says how words are drawn"),
        (("--sample", "--temperature", "0"), "temperature must be above 0"),
        (("--sample", "--seed", "-1"), "seed must be a whole number from 0"),
        (("--max-bytes", "0"), "--max-bytes must be above 0"),
        (("--max-seconds", "nan"), "--max-seconds must be above 0"),
        (("--max-bytes", "1000"), "the limit is"),
        (("--max-seconds", "0.5"), "the limit is"),
        (("--min-pixels", "9"), "min_pixels must be at least 784"),
        (("--max-pixels", "many"), "'many' is not a whole number"),
        (("--max-video-tokens", "3", "--max-frames", "4"), "max_video_tokens is 3"),
    ],
)
def test_a_bad_option_is_one_line(run: Run, arguments: tuple[str, ...], message: str) -> None:
    code, out, err = run(*arguments)
    assert code == 2 and out == "" and message in err and err.count("\n") == 1


def test_progress_of_a_download_stays_when_the_rest_is_quiet(run: Run) -> None:
    from huggingface_hub.utils import are_progress_bars_disabled

    try:
        run("--model", "mini", *QUICK)
        assert not are_progress_bars_disabled()
    finally:
        logging.enable_progress_bar()
