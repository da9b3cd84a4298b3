"""The app as a process: how it starts, what it refuses, what it leaves behind."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from clips import write_clip
from gradio import processing_utils
from gradio_client import Client, handle_file
from gradio_client.client import Job
from paths import ROOT
from signals import hears_interrupts
from waiting import PATIENCE_SECS

from adaspark.errors import UserError
from app.__main__ import main
from app.web.gradio_seams import UNREADABLE, forbid_fetching
from app.web.guard import BROKEN
from app.web.streams import UNKNOWN

FAKE_APP = ROOT / "tests" / "browser" / "fake_app.py"


@contextmanager
def started(*arguments: str, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A Python process whose temporary files go to `folder`."""
    process = subprocess.Popen(
        [sys.executable, "-u", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}", "TMPDIR": str(folder)},
        preexec_fn=hears_interrupts,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def address(process: subprocess.Popen[str]) -> str:
    lines = []
    for line in process.stdout or ():
        lines.append(line)
        if found := re.search(r"http://\S+", line):
            return found.group()
    raise AssertionError("".join(lines))


def status(url: str) -> int:
    try:
        with urllib.request.urlopen(url) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def text(url: str) -> str:
    with urllib.request.urlopen(url) as answer:
        return str(answer.read(), "utf-8")


def wait_for_model(url: str) -> None:
    """Until the model's facts are there; `/inspect` waits for them."""
    clip = str(ROOT / "assets" / "samples" / "2_order.mp4")
    client = Client(url, verbose=False)
    client.predict(video=handle_file(clip), api_name="/inspect")


def wait_for_a_run(url: str, ask: Callable[[], Job]) -> None:
    """Until a run is under way; one that has ended before it was looked for is asked for anew."""
    job, end = ask(), time.monotonic() + PATIENCE_SECS
    while "adaspark_runs_waiting 1.0" not in text(f"{url}metrics"):
        assert time.monotonic() < end, "no run was seen under way"
        time.sleep(0.1)
        if job.done():
            job = ask()


@pytest.mark.few
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_the_app_leaves_nothing_behind(
    tmp_path: Path, how: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples, temporary = tmp_path / "samples", tmp_path / "temporary"
    samples.mkdir(), temporary.mkdir()
    monkeypatch.setenv("ADASPARK_CACHE_DIR", str(temporary))
    with started(str(FAKE_APP), str(samples), "0", folder=temporary) as process:
        address(process)
        assert len(list(temporary.glob("adaspark-*"))) == 1
        process.send_signal(how)
        process.wait(PATIENCE_SECS)
    assert list(temporary.glob("adaspark-*")) == []


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_the_command_is_the_server_and_ends_when_it_is_told_to(
    tmp_path: Path, how: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADASPARK_REPLAY_ONLY", "1")
    monkeypatch.setenv("ADASPARK_CACHE_DIR", str(tmp_path / "cache"))
    arguments = ("-m", "adaspark", "app", "--no-browser", "--port", "0")
    with started(*arguments, folder=tmp_path) as process:
        url = address(process)
        process.send_signal(how)
        assert process.wait(60) == 0
        with pytest.raises(urllib.error.URLError):
            status(url)
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.long
@pytest.mark.parametrize("question", ["hold words", "slow please"])
def test_a_server_that_is_told_to_stop_ends_well_in_the_middle_of_a_run(
    tmp_path: Path, question: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADASPARK_GRACE_SECONDS", "2")
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    with started(str(FAKE_APP), str(tmp_path), "0", folder=temporary) as process:
        url = address(process)
        client = Client(url, verbose=False)
        clip = handle_file(str(write_clip(tmp_path / "clip.mp4")))
        wait_for_a_run(url, lambda: client.submit(video=clip, question=question, api_name="/ask"))
        process.send_signal(signal.SIGTERM)
        _, told = process.communicate(timeout=PATIENCE_SECS)
    assert process.returncode == 0 and "Traceback" not in told
    assert list(tmp_path.glob("*/adaspark-*")) == []


def test_only_what_the_page_shows_is_served_on_any_port_that_is_free(tmp_path: Path) -> None:
    with started(str(FAKE_APP), str(tmp_path), "0", folder=tmp_path) as process:
        page = address(process)
        assert urllib.parse.urlsplit(page).port and status(f"{page}healthz") == 200
        url = page + "gradio_api/"
        assert status(f"{page}studio/sample/01_numbers.mp4") == 200
        assert status(f"{page}studio/plotly.js") == 200
        sample = tmp_path / "01_numbers.mp4"
        for secret in ("/etc/hostname", ROOT / "pyproject.toml", sample):
            assert status(f"{url}file={secret}") == 404
        for name in ("..%2f..%2fetc%2fhostname", "%2e%2e", "other.mp4", "in-use.lock"):
            for kind in ("sample", "video", "growing"):
                assert status(f"{page}studio/{kind}/{name}") == 404
        with urllib.request.urlopen(url + "info") as answer:
            endpoints = json.load(answer)["named_endpoints"]
        assert endpoints.keys() == {"/ask", "/inspect", "/trace"}
        process.send_signal(signal.SIGINT)


def test_an_address_in_a_files_place_is_not_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processing_utils, "async_ssrf_protected_download", None)
    forbid_fetching()
    fetching = processing_utils.async_ssrf_protected_download("https://a.org/b.mp4", "")
    # Stepped by hand: after browser tests this thread runs an event loop already.
    with pytest.raises(UserError, match="Addresses are not fetched"):
        fetching.send(None)


BODIES = {
    "NaN": b'{"data": [NaN, "a secret"]}',
    "too few": b'{"data": [{"path": "/a/secret"}, "a secret", 2.0]}',
    "other kinds": b'{"data": [7, "a secret", [], {}, "x", null, null, null, null, null]}',
}


def test_a_request_that_cannot_be_read_is_a_sentence_and_is_not_printed(tmp_path: Path) -> None:
    said = {}
    with started(str(FAKE_APP), str(tmp_path), "0", folder=tmp_path) as process:
        url = f"{address(process)}gradio_api/call/ask"
        headers = {"Content-Type": "application/json"}
        for name, body in BODIES.items():
            with urllib.request.urlopen(urllib.request.Request(url, body, headers)) as answer:
                event = json.load(answer)["event_id"]
            said[name] = text(f"{url}/{event}")
        process.send_signal(signal.SIGINT)
        told = "".join(process.communicate(timeout=PATIENCE_SECS))
    for name, sentence in said.items():
        assert sentence.startswith("event: error"), name
        assert UNREADABLE in sentence or "cube must be three whole numbers" in sentence, name
    assert "secret" not in told and "Traceback" not in told


def told(url: str, body: dict[str, Any] | None = None) -> tuple[int, str]:
    """Status and text of what an address answers, to what is posted if anything is."""
    headers = {"Content-Type": "application/json"}
    sent = None if body is None else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(
            urllib.request.Request(url, sent, headers), timeout=60
        ) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_a_wrong_address_or_parameter_is_refused_and_is_no_fault_in_the_log(tmp_path: Path) -> None:
    with started(str(FAKE_APP), str(tmp_path), "0", folder=tmp_path) as process:
        call = f"{address(process)}gradio_api/call/"
        for place in ("v2/ask/none", "ask/none", "none/none", "v2/ask"):
            assert told(call + place) == (
                404,
                json.dumps({"detail": UNKNOWN}).replace(": ", ":", 1),
            )
        for place, body in (
            ("v2/ask", {"question": "?", "bogus": 1}),
            ("v2/trace", {}),
            ("v2/none", {"key": "x"}),
        ):
            assert told(call + place, body) == (400, BROKEN)
        _, joined = told(f"{call}v2/trace", {"key": "none"})
        answer = f"{call}v2/trace/{json.loads(joined)['event_id']}"
        assert told(answer)[0] == 200
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=60) == ("", "")


def health(url: str) -> Any:
    with urllib.request.urlopen(f"{url.rstrip('/')}/healthz") as answer:
        return json.load(answer)


@pytest.mark.long
def test_nothing_is_printed_but_the_address(tmp_path: Path) -> None:
    arguments = ("-m", "app", "--no-browser", "--port", "0")
    with started(*arguments, folder=tmp_path) as process:
        url = address(process)
        assert health(url)["status"] == "ok"
        wait_for_model(url)
        assert (health(url)["model"], health(url)["state"]) == ("mini", "ready")
        process.send_signal(signal.SIGINT)
        said, told = process.communicate(timeout=PATIENCE_SECS)
    assert (said, told, process.returncode) == ("", "", 0)


@pytest.mark.long
def test_a_server_without_a_model_replays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADASPARK_REPLAY_ONLY", "1")
    monkeypatch.setenv("ADASPARK_CACHE_DIR", str(tmp_path / "cache"))
    arguments = ("-m", "app", "--no-browser", "--port", "0")
    with started(*arguments, folder=tmp_path) as process:
        url = address(process)
        assert status(url) == 200
        assert health(url).items() >= {"status": "ok", "model": "mini", "state": "replay"}.items()
        assert len(list((tmp_path / "cache").iterdir())) == 1
        process.send_signal(signal.SIGINT)
        process.wait(PATIENCE_SECS)
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.long
def test_a_limit_that_cannot_be_used_is_one_line_and_status_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADASPARK_MAX_UPLOAD_MB", "plenty")
    with started("-m", "app", "--no-browser", folder=tmp_path) as process:
        _, told = process.communicate(timeout=PATIENCE_SECS)
    assert process.returncode == 2
    assert told.startswith("adaspark: ADASPARK_MAX_UPLOAD_MB must be") and told.count("\n") == 1


def test_an_option_that_cannot_be_read_is_one_line_and_status_2(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--port", "abc"])
    said = capsys.readouterr().err
    assert ended.value.code == 2 and said.count("\n") == 1
    assert "--port: 'abc' is not a whole number. See `adaspark app --help`." in said


def test_an_unknown_model_is_one_line_and_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--model", "no-such-model", "--no-browser", "--port", "0"]) == 2
    told = capsys.readouterr().err
    assert told.startswith("adaspark: Unknown model 'no-such-model'") and told.count("\n") == 1


def test_a_port_in_use_is_a_sentence_and_status_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADASPARK_REPLAY_ONLY", "1")  # so that nothing is loaded meanwhile
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        arguments = ("-m", "app", "--no-browser", "--port", port)
        with started(*arguments, folder=tmp_path) as process:
            _, told = process.communicate(timeout=PATIENCE_SECS)
    assert process.returncode == 2
    assert f"Port {port} on 127.0.0.1 cannot be used" in told and "Traceback" not in told
