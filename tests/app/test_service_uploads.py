"""The service behind the page: a visitor's own videos."""

from __future__ import annotations

from pathlib import Path

import pytest
from clips import write_clip
from fake_engine import FakeEngine, loading
from service_asked import DIALS, QUESTION, last, ready, scene_of

from adaspark.errors import UserError
from app.media.videos import GONE
from app.service.service import Service
from app.service.settings import Settings
from app.web.limits import ServerLimits


def test_an_upload_is_asked_about_under_its_own_name(service: Service, upload: Path) -> None:
    name = "<b>${1}`.mp4"
    card = service.videos.choose_upload("a", upload, name, DIALS)
    assert card["name"] == name and card["sample"] is None
    assert card["questions"] == list(FakeEngine.questions)
    upload.unlink()
    done = last(service.ask("a", QUESTION, DIALS))
    assert scene_of(service, done)["clip"]["name"] == name


def test_a_refused_upload_leaves_the_video_that_was_chosen(
    service: Service, tmp_path: Path
) -> None:
    session_id, broken = ready(service), tmp_path / "broken.mp4"
    chosen = service.sessions.get(session_id).video
    broken.write_text("no video")
    with pytest.raises(UserError, match="broken"):
        service.videos.choose_upload(session_id, broken, "broken.mp4", DIALS)
    assert service.sessions.get(session_id).video == chosen
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
    assert told == sorted(set(told)) and told[-1] == (12, 12)


def test_a_later_choice_ends_an_upload_and_stays(service: Service, upload: Path) -> None:
    def choose_sample(done: int, total: int) -> None:
        if done == 1:
            ready(service)

    with pytest.raises(UserError, match="in the meantime"):
        service.videos.choose_upload("a", upload, "a.mp4", DIALS, report=choose_sample)
    done = last(service.ask("a", QUESTION, DIALS))
    assert scene_of(service, done)["clip"]["name"] == "Two shapes"
    assert not list(upload.parent.glob("proxies/*"))


def test_a_clip_that_cannot_be_sampled_so_is_not_chosen(service: Service) -> None:
    with pytest.raises(UserError, match="Frames per second"):
        service.videos.choose_sample("new", "01_two_shapes", Settings(1, 1, 2, 2, 2, fps=-1))
    assert "No video is chosen" in last(service.ask("new", QUESTION, DIALS))["error"]


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
