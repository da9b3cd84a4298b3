"""The endpoints for programs, called as programs call them: over HTTP, with gradio_client."""

from __future__ import annotations

import json
import signal
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from clips import write_clip
from fake_engine import WORDS, FakeEngine, loading
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from test_server import FAKE_APP, address, started

from adaspark.trace.trace import Trace
from app.media.samples import Sample
from app.service.remote import ask_remote
from app.service.service import Service
from app.service.settings import Settings

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")  # of gradio_client's sockets


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    samples, folder = tmp_path_factory.mktemp("samples"), tmp_path_factory.mktemp("temporary")
    with started(str(FAKE_APP), str(samples), "0", folder=folder) as process:
        url = address(process)
        yield Client(url, verbose=False, download_files=str(folder / "down"))
        process.send_signal(signal.SIGINT)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_clip(tmp_path / "my clip.mp4", frames=24)


def test_the_endpoints_are_documented_and_typed(client: Client) -> None:
    endpoints: dict[str, Any] = client.view_api(return_format="dict")["named_endpoints"]
    assert endpoints.keys() == {"/ask", "/inspect", "/trace"}
    for endpoint in endpoints.values():
        assert len(endpoint["description"]) > 40
        assert all(p["python_type"]["type"] not in ("", "Any") for p in endpoint["parameters"])
    names = [parameter["parameter_name"] for parameter in endpoints["/ask"]["parameters"]]
    assert names[:3] == ["video", "question", "attn_top_p"]


def test_a_question_is_answered_with_its_figures_and_its_trace(client: Client, clip: Path) -> None:
    answer, summary, path = client.predict(
        video=handle_file(str(clip)),
        question="What color is the circle?",
        attn_top_p=0.5,
        cube=[1, 2, 2],
        api_name="/ask",
    )
    assert answer == "".join(WORDS)
    assert summary["config"] == {"attn_top_p": 0.5, "cube": [1, 2, 2], "ffn_top_p": 0.7}
    assert 0 < summary["attention_density"] < 1 and len(summary["layers"]) == 4
    trace = Trace.load(path)
    assert trace.meta.question == "What color is the circle?"
    assert trace.meta.clip.name == "my clip.mp4"
    again = client.predict(key=summary["key"], api_name="/trace")
    assert Path(again).read_bytes() == Path(path).read_bytes()


def test_the_dials_that_are_ours_are_asked_for_by_name(client: Client, clip: Path) -> None:
    own = {"text_top_p": 1.0, "ffn_importance": "input"}
    video = handle_file(str(clip))
    _, summary, _ = client.predict(video=video, question="What?", api_name="/ask", **own)
    assert own.items() <= summary["config"].items()
    _, plain, _ = client.predict(video=video, question="What?", api_name="/ask")
    assert not own.keys() & plain["config"].keys()


def test_cubes_are_forced_on_and_off_by_their_numbers(client: Client, clip: Path) -> None:
    given = {"video": handle_file(str(clip)), "question": "What?"}
    _, summary, path = client.predict(**given, forced={"3": False, "0": True}, api_name="/ask")
    assert summary["config"]["cube"] == [2, 2, 2] and summary["cubes"] > 3
    assert Trace.load(path).meta.forced == [(0, True), (3, False)]
    _, _, free = client.predict(**given, api_name="/ask")
    assert Trace.load(free).meta.forced == []


def test_another_studio_is_asked_with_every_dial(client: Client, clip: Path) -> None:
    sample = Sample("01_clip", "Clip", clip, ("What is it?",))
    service = Service(loading(FakeEngine()), clip.parent / "copies", samples=[sample])
    dials = Settings(0.5, 0.25, 1, 2, 2, text_top_p=1.0, ffn_importance="input")
    service.openings.choose_sample("a", "01_clip", dials)
    where = client.src.rstrip("/")
    *_, message = ask_remote(service, "a", where, "why?", dials, {where})
    assert message["state"] == "done", message
    finished = service.results.get(message["key"])
    assert finished is not None and finished.result.trace.meta.config == dials.options().config


def test_what_is_kept_serves_the_client_s_next_question(client: Client, clip: Path) -> None:
    def ask(**keep: str) -> dict[str, Any]:
        _, summary, _ = client.predict(
            video=handle_file(str(clip)), question="What?", api_name="/ask", **keep
        )
        return dict(summary)

    assert "cached_tokens" not in ask() and "cached_tokens" not in ask()
    for keep in ("video", "conversation"):
        assert "cached_tokens" not in ask(keep=keep)
        assert ask(keep=keep)["cached_tokens"] > 0
    with pytest.raises(AppError, match="keep must be one of nothing, video, conversation"):
        ask(keep="everything")


def test_a_video_is_inspected_without_the_model(client: Client, clip: Path) -> None:
    found = client.predict(video=handle_file(str(clip)), max_frames=4, api_name="/inspect")
    assert found["facts"].startswith("128 x 96, 2.0 s, H.264; shown to the model as 4 frames")
    assert found["duration_secs"] == pytest.approx(2.0, abs=0.1)
    assert found["video_tokens"] > 0 and found["too_long"] is None


@pytest.mark.few(6)
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"question": "  "}, "The question is blank"),
        ({"attn_top_p": 2.0}, "Top-p attention must be a number from 0 to 1, got 2.0"),
        ({"ffn_importance": "x"}, "ffn_importance must be one of residual, input, got 'x'"),
        ({"forced": [3]}, "forced must be an object of cubes, each true .on. or false .off."),
        ({"forced": {"x": True}}, "forced must name each cube by its whole number, .* got 'x'"),
        ({"forced": {"-1": True}}, "forced must name each cube by its whole number, .* got '-1'"),
        ({"forced": {"03": True}}, "forced must name each cube by its whole number, .* got '03'"),
        ({"forced": {"3": 1}}, "forced must say true .on. or false .off. of cube 3, got 1"),
        ({"forced": {"3": None}}, "forced must say true .* of cube 3, got nothing"),
        ({"forced": {"999999": True}}, "There is no cube 999999: this video has 12, counted"),
        ({"cube": [0, 2, 2]}, "A cube is three whole numbers"),
        ({"cube": [2, 2]}, "cube must be three whole numbers"),
        ({"max_new_tokens": 0}, "Words at most"),
        ({"question": "fail"}, "The model failed on this request"),
        ({"video": "/etc/passwd"}, "The video did not arrive"),
    ],
)
def test_what_cannot_be_used_is_told_in_a_sentence(
    client: Client, clip: Path, changes: dict[str, Any], words: str
) -> None:
    given: dict[str, Any] = {"video": handle_file(str(clip)), "question": "?", **changes}
    with pytest.raises(AppError, match=words) as told:
        client.predict(**given, api_name="/ask")
    assert "secret" not in str(told.value) and "Traceback" not in str(told.value)


def test_a_file_that_is_no_video_is_refused_by_its_name(client: Client, tmp_path: Path) -> None:
    (tmp_path / "letter.mp4").write_text("this is a letter")
    with pytest.raises(AppError, match=r"letter\.mp4"):
        client.predict(video=handle_file(str(tmp_path / "letter.mp4")), api_name="/inspect")


def test_an_unknown_key_has_no_trace(client: Client) -> None:
    with pytest.raises(AppError, match="No result has this key"):
        client.predict(key="../../etc/passwd", api_name="/trace")


def test_a_file_of_the_servers_own_is_not_read(client: Client) -> None:
    """Over plain HTTP: the client itself would upload what it is told to send."""
    body = {"data": [{"path": "/etc/hostname", "meta": {"_type": "gradio.FileData"}}]}
    told = called(f"{client.src}gradio_api/call/inspect", body)
    assert "event: error" in told and "event: complete" not in told


def called(url: str, body: dict[str, Any]) -> str:
    """The stream of events that an endpoint answers with."""
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request) as answer:
        event = json.load(answer)["event_id"]
    with urllib.request.urlopen(f"{url}/{event}") as answer:
        text: str = answer.read().decode()
    return text
