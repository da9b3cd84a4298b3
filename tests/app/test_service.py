"""The service behind the page: messages, limits, and runs that give way to newer ones."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from clips import write_clip
from fake_engine import LAYERS, WORDS, FakeEngine, loading

from adaspark.errors import UserError
from adaspark.model.byte_store import ByteStore
from adaspark.model.request import Result
from app.media.disk_store import ProxyStore
from app.media.record_runs import record
from app.media.samples import read_samples
from app.media.videos import GONE, NO_VIDEO
from app.service.messages import RunMessage
from app.service.progress import STEPS, Report, reported
from app.service.queue import AdmissionQueue, sentence
from app.service.service import Service
from app.service.settings import MAX_WORDS, Settings, checked_question
from app.web.limits import ServerLimits

DIALS = Settings(0.9, 0.7, 2, 2, 2)
QUESTION = "What color is the circle?"


@pytest.fixture
def samples(tmp_path: Path) -> Path:
    folder = tmp_path / "samples"
    folder.mkdir()
    write_clip(folder / "01_two_shapes.mp4")
    items = [{"family": "needle", "question": QUESTION, "answer": "red"}] * 2
    (folder / "01_two_shapes.json").write_text(json.dumps({"items": items}))
    write_clip(folder / "02_without_notes.mp4")
    return folder


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
def service(engine: FakeEngine, samples: Path, tmp_path: Path) -> Iterator[Service]:
    built = Service(loading(engine), tmp_path / "proxies", samples=read_samples(samples))
    yield built
    built.close()


@pytest.fixture
def replay(samples: Path, tmp_path: Path) -> Service:
    """A service with a recorded run of its sample, and an engine that is not there yet."""
    clips = read_samples(samples)
    trace = record(FakeEngine(), clips[0])
    gallery = {clips[0].name: Result(trace.meta.answer, trace, trace.meta.seconds)}
    engine = loading(FakeEngine(), started=False)
    return Service(engine, tmp_path / "proxies", samples=clips, gallery=gallery)


@pytest.fixture
def upload(tmp_path: Path) -> Path:
    path = tmp_path / "upload.mp4"
    write_clip(path, frames=12)
    return path


def ready(service: Service, session_id: str = "a") -> str:
    service.choose_sample(session_id, "01_two_shapes", DIALS)
    return session_id


def scene_of(service: Service, message: RunMessage) -> Any:
    finished = service.results.get(message["key"])
    assert finished is not None
    return json.loads(finished.scene_json)


def last(messages: Iterator[RunMessage]) -> RunMessage:
    return list(messages)[-1]


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
    card = service.choose_sample("a", "01_two_shapes", DIALS)
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


def test_settings_before_any_video_run_nothing(service: Service) -> None:
    assert list(service.retune("new", DIALS)) == []


def test_a_newer_run_ends_the_older_without_a_word(service: Service) -> None:
    session_id, started, older = ready(service), threading.Event(), list[RunMessage]()

    def listen() -> None:
        for message in service.ask(session_id, "hold layers", DIALS):
            older.append(message)
            started.set()

    thread = threading.Thread(target=listen)
    thread.start()
    assert started.wait(30)
    newer = list(service.ask(session_id, QUESTION, DIALS))
    thread.join(30)
    assert {m["state"] for m in older} == {"running"}
    assert newer[-1]["state"] == "done" and newer[-1]["question"] == QUESTION


def test_a_run_says_how_many_others_it_waits_for(service: Service) -> None:
    held = service.ask(ready(service, "a"), "hold layers", DIALS)
    next(held)
    waiting = service.ask(ready(service, "b"), QUESTION, DIALS)
    assert next(waiting)["phase"] == {"name": "waiting", "done": 0, "total": 1}
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
        (QUESTION, Settings(0.9, 0.7, 2, None, 2), "A cube is three whole numbers"),
        (QUESTION, Settings(0.9, 0.7, 2, 2.5, 2), "A cube is three whole numbers"),
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
    options = Settings(1, 0.5, 4.0, 2, 1, fps=2, max_frames=8.0, max_new_tokens=MAX_WORDS).options()
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


def test_an_upload_is_asked_about_under_its_own_name(service: Service, upload: Path) -> None:
    name = "<b>${1}`.mp4"
    card = service.videos.choose_upload("a", upload, name, DIALS)
    assert card["name"] == name and card["sample"] is None
    assert card["questions"] == list(FakeEngine.questions)
    upload.unlink()
    done = last(service.ask("a", QUESTION, DIALS))
    assert scene_of(service, done)["clip"]["name"] == name


def test_a_refused_upload_leaves_no_video_chosen(service: Service, tmp_path: Path) -> None:
    session_id, broken = ready(service), tmp_path / "broken.mp4"
    broken.write_text("no video")
    with pytest.raises(UserError) as refusal:
        service.videos.choose_upload(session_id, broken, "broken.mp4", DIALS)
    assert last(service.ask(session_id, QUESTION, DIALS))["error"] == str(refusal.value)
    service.choose_sample(session_id, "01_two_shapes", DIALS)
    assert last(service.ask(session_id, QUESTION, DIALS))["state"] == "done"


def test_an_upload_that_is_longer_than_this_server_takes_is_refused(tmp_path: Path) -> None:
    service = Service(loading(FakeEngine()), tmp_path / "f", limits=ServerLimits(video_secs=1))
    upload = write_clip(tmp_path / "long.mp4", frames=24)
    with pytest.raises(UserError, match=r"long\.mp4"):
        service.videos.choose_upload("a", upload, "long.mp4", DIALS)


def test_a_video_of_too_many_tokens_comes_with_what_fits(tmp_path: Path) -> None:
    service = Service(loading(FakeEngine(max_video_tokens=40)), tmp_path / "proxies")
    upload = write_clip(tmp_path / "long.mp4", frames=24)
    card = service.videos.choose_upload("a", upload, "long.mp4", DIALS)
    most = card["too_long"]["max_frames"]
    assert card["video_tokens"] >= 40 and "the model holds 40" in card["too_long"]["text"]
    fitting = service.videos.describe("a", Settings(0.9, 0.7, 2, 2, 2, max_frames=most))
    assert fitting and fitting["video_tokens"] < 40 and fitting["too_long"] is None


def test_an_upload_reports_its_frames(service: Service, upload: Path) -> None:
    told: list[tuple[int, int]] = []
    service.videos.choose_upload("a", upload, "a.mp4", DIALS, report=lambda *at: told.append(at))
    assert told == [(n, 12) for n in range(1, 13)]


def test_a_later_choice_ends_an_upload_and_stays(service: Service, upload: Path) -> None:
    def choose_sample(done: int, total: int) -> None:
        if done == 1:
            ready(service)

    with pytest.raises(UserError, match="in the meantime"):
        service.videos.choose_upload("a", upload, "a.mp4", DIALS, report=choose_sample)
    done = last(service.ask("a", QUESTION, DIALS))
    assert scene_of(service, done)["clip"]["name"] == "Two shapes"
    assert not list(upload.parent.glob("proxies/*"))


def test_reports_come_before_the_result_and_not_too_often() -> None:
    def work(report: Report) -> str:
        for done in range(1, 1001):
            report(done, 1000)
        return "done"

    *shares, result = reported(work)
    assert result == "done" and shares == [n / STEPS for n in range(1, STEPS + 1)]


def test_work_that_fails_ends_its_reports_with_its_error() -> None:
    def work(report: Report) -> str:
        report(1, 2)
        raise ValueError("broken")

    shares = reported(work)
    assert next(shares) == 0.5
    with pytest.raises(ValueError, match="broken"):
        next(shares)


def test_a_page_that_leaves_ends_the_work_that_it_waited_for() -> None:
    seen, left = threading.Event(), threading.Event()
    reports: list[int] = []

    def work(report: Report) -> None:
        for done in range(1, 11):
            reports.append(done)
            report(done, 10)
            seen.set()
            left.wait(30)

    shares = reported(work)
    next(shares)
    seen.wait(30)
    threading.Timer(0.05, left.set).start()
    shares.close()  # type: ignore[attr-defined]
    assert reports == [1, 2]


def test_a_clip_that_cannot_be_sampled_so_is_not_chosen(service: Service) -> None:
    session_id = ready(service)
    with pytest.raises(UserError, match="Frames per second"):
        service.videos.choose_sample(session_id, "01_two_shapes", Settings(1, 1, 2, 2, 2, fps=-1))
    assert "Frames per second" in last(service.ask(session_id, QUESTION, DIALS))["error"]


def test_the_last_upload_can_be_chosen_again(service: Service, upload: Path) -> None:
    card = service.videos.choose_upload("a", upload, "mine.mp4", DIALS)
    service.videos.choose_sample("a", "01_two_shapes", DIALS)
    assert service.videos.choose_own("a", DIALS) == card
    with pytest.raises(UserError, match="upload it again"):
        service.videos.choose_own("b", DIALS)


def test_an_upload_that_had_to_go_is_asked_for_again(
    samples: Path, tmp_path: Path, upload: Path
) -> None:
    service = Service(
        loading(FakeEngine()), tmp_path / "proxies", limits=ServerLimits(kept_videos_mb=0)
    )
    service.videos.choose_upload("a", upload, "mine.mp4", DIALS)
    other = tmp_path / "other.mp4"
    write_clip(other, frames=8)
    service.videos.choose_upload("b", other, "theirs.mp4", DIALS)
    assert last(service.ask("a", QUESTION, DIALS))["error"] == GONE
    assert len(list((tmp_path / "proxies").iterdir())) == 1


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


def test_too_many_waiting_runs_are_refused() -> None:
    admission = AdmissionQueue(maximum=1)
    with admission.enter() as ahead, pytest.raises(UserError, match="waiting"), admission.enter():
        assert ahead == 0
    with admission.enter() as ahead:
        assert ahead == 0


def test_two_visitors_asking_at_once_both_get_their_own_answer(service: Service) -> None:
    ready(service, "a"), ready(service, "b")
    found: dict[str, RunMessage] = {}

    def ask(session_id: str, cube: int) -> None:
        found[session_id] = last(service.ask(session_id, QUESTION, Settings(0.9, 0.7, cube, 2, 2)))

    threads = [threading.Thread(target=ask, args=(s, c)) for s, c in (("a", 1), ("b", 2))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert [found[s]["summary"]["config"]["cube"][0] for s in "ab"] == [1, 2]
    assert found["a"]["key"] != found["b"]["key"]
