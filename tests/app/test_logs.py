"""The log as JSON lines, and that nothing of a visitor's is in it."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path

import pytest
from clips import write_clip
from long import some_of
from tab import Tab
from test_server import FAKE_APP, address, started
from waiting import PATIENCE_SECS

from app.service.queue import sentence
from app.web.logs import JsonLines

SECRETS = ("zebra-question", "zebra-file", "zebra fail")


def test_a_line_is_an_object_without_an_error_s_text() -> None:
    try:
        raise ValueError("zebra-question")
    except ValueError:
        given = ("app", logging.ERROR, "here", 1, "it failed: %s", ("kind",), sys.exc_info())
        record = logging.LogRecord(*given)
    record.facts = {"seconds": {"prefill": 0.5}}
    text = JsonLines().format(record)
    line = json.loads(text)
    assert line.pop("time").endswith("+00:00") and "\n" not in text and "zebra" not in text
    assert line == {
        "level": "error",
        "logger": "app",
        "event": "it failed: kind",
        "error": "ValueError",
        "seconds": {"prefill": 0.5},
    }


def test_a_failure_is_logged_by_its_kind_and_place(caplog: pytest.LogCaptureFixture) -> None:
    try:
        raise RuntimeError("zebra-question")
    except RuntimeError as error:
        sentence(error)
    assert "RuntimeError at test_logs.py:" in caplog.text and "zebra" not in caplog.text


@pytest.mark.few
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@some_of("as_json", ["1", "0"])
def test_neither_question_nor_name_is_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, as_json: str
) -> None:
    monkeypatch.setenv("ADASPARK_LOG_JSON", as_json)
    clip = write_clip(tmp_path / "zebra-file.mp4", frames=8)
    broken = tmp_path / "zebra-file.mkv"
    broken.write_bytes(b"zebra" * 100)
    with started(str(FAKE_APP), str(tmp_path), "0", folder=tmp_path) as process:
        with Tab(address(process)) as tab:
            tab.call("greet")
            for path in (clip, broken):
                place = tab.upload(path, path.name)
                tab.call("upload", path=place, name=path.name, pick=1)
            for question in ("zebra-question", "zebra fail", "zebra refuse"):
                tab.call("ask", [question, *tab.values("ask")[1:]], run=1)
        process.terminate()
        said, told = process.communicate(timeout=PATIENCE_SECS)
    assert not any(secret in said + told for secret in SECRETS) and "Traceback" not in told
    lines = told.splitlines()
    if as_json == "1":
        runs = [line for line in map(json.loads, lines) if line["event"] == "run"]
        assert [run["outcome"] for run in runs] == ["answered", "failed", "refused"]
        assert runs[0]["seconds"]["prefill"] > 0
    else:
        assert len(lines) == 1 and "RuntimeError at" in lines[0]
