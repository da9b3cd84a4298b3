"""The service behind the page: messages, limits, and runs that give way to newer ones."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from fake_engine import LAYERS, WORDS, FakeEngine, loading
from service_asked import DIALS, QUESTION, last, ready, scene_of
from waiting import PATIENCE_SECS

from adaspark.model.byte_store import ByteStore
from adaspark.model.events import Result
from app.media.disk_store import ProxyStore
from app.media.record_runs import record
from app.media.samples import read_samples
from app.media.videos import NO_VIDEO
from app.service.messages import RunMessage
from app.service.queue import sentence
from app.service.service import FORGOTTEN, Service
from app.service.settings import Settings, checked_question
from app.web.limits import ServerLimits


@pytest.fixture
def replay(samples: Path, tmp_path: Path) -> Service:
    """A service with a recorded run of its sample, and an engine that is not there yet."""
    clips = read_samples(samples)
    trace = record(FakeEngine(), clips[0])
    gallery = {clips[0].name: Result(trace.meta.answer, trace, trace.meta.seconds)}
    engine = loading(FakeEngine(), started=False)
    return Service(engine, tmp_path / "proxies", samples=clips, gallery=gallery)


def test_samples_are_the_clips_with_notes_each_question_once(samples: Path) -> None:
    (sample,) = read_samples(samples)
    assert (sample.name, sample.title) == ("01_two_shapes", "Two shapes")
    assert sample.questions == (QUESTION,)


def test_the_pages_own_clips_spell_color_alike() -> None:
    questions = [question for sample in read_samples() for question in sample.questions]
    assert any("color" in question for question in questions)
    assert not any("colour" in question for question in questions)


def test_a_samples_card_shows_the_moment_with_the_most_in_sight(samples: Path) -> None:
    notes = samples / "01_two_shapes.json"
    events = [{"start_secs": a, "end_secs": b} for a, b in ((0, 2), (4, 8), (5, 6))]
    notes.write_text(json.dumps({**json.loads(notes.read_text()), "events": events}))
    assert read_samples(samples)[0].poster_secs == 6.0


def test_a_card_says_what_the_model_would_be_shown_before_anything_runs(
    service: Service, engine: FakeEngine
) -> None:
    card = service.openings.choose_sample("a", "01_two_shapes", DIALS)
    assert card["sample"] == "01_two_shapes" and card["questions"] == [QUESTION]
    assert card["facts"].endswith(f"{card['video_tokens']} visual tokens")
    assert card["seconds"] is None and not engine.asked


def test_a_run_tells_phases_words_and_at_last_its_result(service: Service) -> None:
    messages = list(service.ask(ready(service), QUESTION, DIALS))
    *running, done = messages
    assert {m["state"] for m in running} == {"running"}
    layers = [m["phase"]["done"] for m in running if not m["answer"]]
    assert layers == list(range(1, LAYERS + 1))
    grown = [m["answer"] for m in running if m["answer"]]
    assert grown == ["".join(WORDS[: n + 1]) for n in range(len(WORDS))]
    assert done["state"] == "done" and done["answer"] == "".join(WORDS)
    assert done["summary"]["config"]["cube"] == [2, 2, 2]


def test_the_scene_of_a_result_is_found_by_its_key(service: Service) -> None:
    done = last(service.ask(ready(service), QUESTION, DIALS))
    scene = scene_of(service, done)
    assert scene["videos"][0]["url"].endswith("01_two_shapes.mp4")
    assert scene["clip"]["name"] == "Two shapes"


@pytest.mark.parametrize("key", ["", "guess", "../../etc/passwd"])
def test_an_unknown_key_finds_nothing(service: Service, key: str) -> None:
    last(service.ask(ready(service), QUESTION, DIALS))
    assert service.results.get(key) is None


def test_a_setting_changes_the_run_of_the_same_question(service: Service) -> None:
    session_id = ready(service)
    last(service.ask(session_id, QUESTION, DIALS))
    done = last(service.retune(session_id, Settings(0.3, 0.7, 1, 2, 2)))
    assert done["question"] == QUESTION
    assert done["summary"]["config"] == {"cube": [1, 2, 2], "attn_top_p": 0.3, "ffn_top_p": 0.7}


def test_settings_of_a_question_that_is_not_remembered_end_in_a_sentence(
    service: Service, engine: FakeEngine
) -> None:
    forgotten = {"state": "error", "error": FORGOTTEN, "field": None}
    assert list(service.retune("new", DIALS)) == [forgotten] and not engine.asked
    (refused,) = service.ask("new", QUESTION, DIALS)  # nor is there a video to ask about
    assert refused["state"] == "error" and refused["error"] == NO_VIDEO


def test_a_newer_run_ends_the_older_without_a_word(service: Service) -> None:
    session_id, started, older = ready(service), threading.Event(), list[RunMessage]()

    def listen() -> None:
        for message in service.ask(session_id, "hold layers", DIALS):
            older.append(message)
            started.set()

    thread = threading.Thread(target=listen)
    thread.start()
    assert started.wait(PATIENCE_SECS)
    newer = list(service.ask(session_id, QUESTION, DIALS))
    thread.join(PATIENCE_SECS)
    assert {m["state"] for m in older} == {"running"}
    assert newer[-1]["state"] == "done" and newer[-1]["question"] == QUESTION


def test_a_run_says_how_many_others_it_waits_for(service: Service) -> None:
    held = service.ask(ready(service, "a"), "hold layers", DIALS)
    next(held)
    waiting = service.ask(ready(service, "b"), QUESTION, DIALS)
    assert next(waiting)["phase"] == {
        "name": "waiting",
        "done": 0,
        "total": 1,
        "secs": None,
    }
    service.stop("a")
    assert last(held) == {"state": "stopped"}
    assert last(waiting)["state"] == "done"


def test_runs_of_other_visitors_are_left_alone(service: Service) -> None:
    slow = service.ask(ready(service, "a"), "slow one", DIALS)
    ready(service, "b")
    service.stop("b")
    assert last(slow)["state"] == "done"


def test_stop_keeps_the_words_so_far(service: Service) -> None:
    session_id, messages = ready(service), []
    for message in service.ask(session_id, "hold words", DIALS):
        messages.append(message)
        if message.get("answer"):
            service.stop(session_id)
    assert messages[-1]["state"] == "stopped" and messages[-1]["answer"] == WORDS[0]
    assert service.results.get(messages[-1]["key"])


def test_stop_before_the_first_word_says_stopped(service: Service) -> None:
    session_id, run = ready(service), service.ask("a", "hold layers", DIALS)
    next(run)
    service.stop(session_id)
    assert last(run) == {"state": "stopped"}


def test_a_page_that_closes_stops_its_run(service: Service) -> None:
    run = service.ask(ready(service), "hold layers", DIALS)
    next(run)
    service.leave("a")
    assert last(run) == {"state": "stopped"}


@pytest.mark.few(8)
@pytest.mark.parametrize(
    ("question", "dials", "words"),
    [
        ("", DIALS, "question is blank"),
        (" \n", DIALS, "question is blank"),
        (None, DIALS, "question is blank"),
        (QUESTION, Settings(1.2, 0.7, 2, 2, 2), "Top-p attention must be a number from 0 to 1"),
        (QUESTION, Settings(0.9, -0.1, 2, 2, 2), "Top-p FFN must be a number from 0 to 1"),
        (QUESTION, Settings(float("nan"), 0.7, 2, 2, 2), "Top-p attention"),
        (QUESTION, Settings("1e9", 0.7, 2, 2, 2), "Top-p attention"),
        (QUESTION, Settings(None, 0.7, 2, 2, 2), "got nothing"),
        (QUESTION, Settings(True, 0.7, 2, 2, 2), "Top-p attention"),
        (QUESTION, Settings(0.9, 0.7, 0, 2, 2), "A cube is three whole numbers"),
        (QUESTION, Settings(0.9, 0.7, 2, None, 2), "Cube h is empty; type a whole number"),
        (QUESTION, Settings(0.9, 0.7, 2, 2.5, 2), "A cube is three whole numbers"),
        (QUESTION, Settings(0.9, 0.7, 2, 2, 2, ffn_importance=["input"]), "ffn_importance must be"),
        (QUESTION, Settings(0.9, 0.7, 2, 2, 2, fps=-1), "Frames per second"),
        (QUESTION, Settings(0.9, 0.7, 2, 2, 2, max_frames=-2), "Frames at most"),
        (QUESTION, Settings(0.9, 0.7, 2, 2, 2, max_pixels=0.5), "Pixels a frame at most"),
        (QUESTION, Settings(0.9, 0.7, 2, 2, 2, max_video_tokens=-1), "Video tokens at most"),
        (QUESTION, Settings(0.9, 0.7, 2, 2, 2, max_new_tokens=0), "Words at most"),
        (QUESTION, Settings(0.9, 0.7, 2, 2, 2, max_new_tokens=None), "Words at most"),
        ("refuse me", DIALS, "This question is refused; ask another."),
    ],
)
def test_what_a_visitor_got_wrong_is_the_last_message(
    service: Service, question: Any, dials: Settings, words: str
) -> None:
    message = last(service.ask(ready(service), question, dials))
    assert message["state"] == "error" and words in message["error"]
    assert message["error"].endswith(".") and "\n" not in message["error"]


def test_settings_are_taken_as_they_come() -> None:
    options = Settings(
        1, 0.5, 4.0, 2, 1, fps=2, max_frames=8.0, max_new_tokens=ServerLimits().new_tokens
    ).options()
    assert options.config.cube == (4, 2, 1) and options.config.attn_top_p == 1.0
    assert (options.fps, options.max_frames) == (2.0, 8)
    assert set(Settings(1, 1, 1, 1, 1, fps=0, max_frames=0).sampling().values()) == {None}
    assert checked_question("  a\u2003b ") == "a\u2003b"


def test_an_error_of_ours_is_not_told_to_visitors(service: Service) -> None:
    message = last(service.ask(ready(service), "fail", DIALS))
    assert message["state"] == "error" and "secret" not in message["error"]


def test_running_out_of_memory_says_what_to_do() -> None:
    class OutOfMemoryError(RuntimeError):
        pass

    assert "fewer frames" in sentence(OutOfMemoryError("CUDA"))


def test_without_a_video_the_sentence_says_to_choose_one(service: Service) -> None:
    assert last(service.ask("new", QUESTION, DIALS))["error"] == NO_VIDEO
    assert service.videos.describe("new", DIALS) is None


def test_results_that_no_longer_fit_are_forgotten(samples: Path, tmp_path: Path) -> None:
    limits = ServerLimits(kept_results_mb=0)
    service = Service(loading(FakeEngine()), tmp_path, samples=read_samples(samples), limits=limits)
    keys = [last(service.ask(ready(service), QUESTION, DIALS))["key"] for _ in range(2)]
    assert [service.results.get(key) is None for key in keys] == [True, False]


def test_the_store_holds_no_more_than_its_bytes_and_drops_the_longest_unused() -> None:
    dropped: list[str] = []
    store: ByteStore[str] = ByteStore(10, on_drop=dropped.append)
    for name in "abc":
        store.put(name, name, 4)
        store.get("a")
    assert (dropped, store.held_bytes) == (["b"], 8)
    store.put("a", "again", 5)
    assert store.held_bytes == 9 and store.get("a") == "again"


def test_a_store_says_whether_a_file_is_still_there(tmp_path: Path) -> None:
    proxies, path = ProxyStore(tmp_path, 100), tmp_path / "a.mp4"
    path.write_bytes(b"1")
    assert not proxies.touch(path)
    proxies.keep(path)
    assert proxies.touch(path)
    path.unlink()
    assert not proxies.touch(path)


def test_two_visitors_asking_at_once_both_get_their_own_answer(service: Service) -> None:
    ready(service, "a"), ready(service, "b")
    found: dict[str, RunMessage] = {}

    def ask(session_id: str, cube: int) -> None:
        found[session_id] = last(service.ask(session_id, QUESTION, Settings(0.9, 0.7, cube, 2, 2)))

    threads = [threading.Thread(target=ask, args=(s, c)) for s, c in (("a", 1), ("b", 2))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_SECS)
    assert [found[s]["summary"]["config"]["cube"][0] for s in "ab"] == [1, 2]
    assert found["a"]["key"] != found["b"]["key"]
