"""`adaspark chat`: a line is a question, what was said stays, the video is read once."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio
import pytest
from paths import ROOT

from adaspark.cli import main
from adaspark.model.engine import Engine
from adaspark.model.events import Phase, Result

CLIP = str(Path(gradio.__file__).parent / "media_assets" / "videos" / "b.mp4")
QUICK = ["--max-frames", "4", "--max-new-tokens", "3"]
Told = tuple[int, list[str], str]


@pytest.fixture
def results(monkeypatch: pytest.MonkeyPatch) -> list[Result]:
    """What the engine answers, as it comes."""
    found: list[Result] = []
    own = Engine.ask

    def ask(self: Engine, *args: Any, **kwargs: Any) -> Any:
        for event in own(self, *args, **kwargs):
            if isinstance(event, Result):
                found.append(event)
            yield event

    monkeypatch.setattr(Engine, "ask", ask)
    return found


@pytest.fixture
def typed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Told]:
    """A chat of some lines: exit code, lines of standard output, standard error."""

    def talk(*lines: str) -> Told:
        monkeypatch.setattr(sys, "stdin", io.StringIO("".join(f"{line}\n" for line in lines)))
        capsys.readouterr()
        code = main(["chat", CLIP, *QUICK])
        out, err = capsys.readouterr()
        return code, out.splitlines(), err

    return talk


def words_of(result: Result) -> str:
    return "".join(word.text for word in result.trace.words)


def test_a_line_is_a_question_and_earlier_ones_stay(
    typed: Callable[..., Told], results: list[Result]
) -> None:
    code, out, err = typed("what color ?", "", "how many ?")
    assert (code, err) == (0, "")
    assert [line.strip() for line in out] == [result.answer for result in results]
    first, second = results
    assert not first.trace.meta.cached_tokens and second.trace.meta.cached_tokens
    assert f"what color ?<|im_end|>\n<|im_start|>assistant\n{first.answer}" in words_of(second)


def test_new_forgets_what_was_said_and_not_the_video(
    typed: Callable[..., Told], results: list[Result]
) -> None:
    code, out, _ = typed("what color ?", "/new", "how many ?", "/quit", "never asked ?")
    assert code == 0 and len(out) == len(results) == 2
    assert "what color ?" not in words_of(results[1])
    assert results[1].trace.meta.cached_tokens


def test_what_cannot_be_asked_is_one_line_and_the_chat_goes_on(
    typed: Callable[..., Told], results: list[Result]
) -> None:
    code, out, err = typed("/frob", "red \udcff", "what color ?")
    assert code == 0 and len(out) == len(results) == 1
    unknown, no_text = err.splitlines()
    assert unknown == "adaspark: There is no /frob: /new or /quit."
    assert "not valid Unicode text" in no_text


@pytest.mark.parametrize("name", ["none.mp4", "README.md"])
def test_a_bad_video_is_one_line(capsys: pytest.CaptureFixture[str], name: str) -> None:
    assert main(["chat", name]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("adaspark: ") and err.count("\n") == 1


def test_ctrl_c_stops_an_answer_and_not_the_chat(
    typed: Callable[..., Told], results: list[Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a terminal sends it, while the first answer is in its prefill."""
    own, sent = Engine.ask, []

    def interrupted(self: Engine, *args: Any, **kwargs: Any) -> Any:
        for event in own(self, *args, **kwargs):
            if not sent and isinstance(event, Phase):
                sent.append(event)
                os.kill(os.getpid(), signal.SIGINT)
            yield event

    monkeypatch.setattr(Engine, "ask", interrupted)
    before = signal.getsignal(signal.SIGINT)
    code, out, _ = typed("what color ?", "how many ?")
    assert code == 0 and len(sent) == 1 and len(out) == 2
    assert out[1].strip() == results[-1].answer
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.long
def test_it_works_in_a_pipe() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "adaspark", "chat", CLIP, *QUICK],
        input=b"what color ?\nred \xff\n/quit\n",
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0 and done.stdout.count(b"\n") == 1 and b"> " not in done.stdout
    assert b"not valid Unicode text" in done.stderr and b"Traceback" not in done.stderr
