"""A video file is read whole once, however often and by whomever it is asked about.

Uploads and their copies are read in readers: one makes the copy, one takes its pictures.
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from clips import write_clip
from fake_engine import loading
from waiting import PATIENCE_SECS

from adaspark.errors import UserError
from adaspark.model.engine import Engine
from adaspark.video import header as video_header
from adaspark.video import probe as video_probe
from adaspark.video.limits import Limits
from adaspark.video.probe import scan
from app.media.reader.pool import Reader
from app.service.service import Service
from app.service.settings import Settings

QUESTION = "What color is the circle?"


def dials(attn_top_p: float) -> Settings:
    return Settings(attn_top_p, 0.7, 2, 2, 2, max_frames=4, max_new_tokens=1)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each file's packets were all read, by its name."""
    counted: Counter[str] = Counter()
    read_packets: Any = video_header.read_packets

    def counting(container: Any, *rest: Any) -> Any:
        counted[Path(container.name).name] += 1
        return read_packets(container, *rest)

    monkeypatch.setattr(video_header, "read_packets", counting)
    return counted


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often readers were given each kind of job."""
    counted: Counter[str] = Counter()
    begin: Any = Reader.begin

    def counting(reader: Reader, kind: str, path: Path, **arguments: Any) -> None:
        counted[kind] += 1
        begin(reader, kind, path, **arguments)

    monkeypatch.setattr(Reader, "begin", counting)
    return counted


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine(device="cpu")


@pytest.fixture
def service(engine: Engine, tmp_path: Path) -> Iterator[Service]:
    built = Service(loading(engine), tmp_path / "kept")
    yield built
    built.close()


@pytest.mark.few
@pytest.mark.parametrize("clip", [{}, {"turn": 90}], ids=["copied", "encoded"])
def test_an_upload_a_question_and_five_moves_of_a_slider_take_two_readers(
    service: Service,
    reads: Counter[str],
    jobs: Counter[str],
    tmp_path: Path,
    clip: dict[str, Any],
) -> None:
    path = write_clip(tmp_path / "upload.mp4", frames=12, **clip)
    service.videos.choose_upload("a", path, "upload.mp4", dials(0.9))
    answered = list(service.ask("a", QUESTION, dials(0.9)))
    for step in range(5):
        service.videos.describe("a", dials(0.4 + step / 10))
        answered += service.retune("a", dials(0.4 + step / 10))
    assert [m["state"] for m in answered if m["state"] != "running"] == ["done"] * 6
    assert jobs == {"prepare": 1, "pictures": 1} and not reads


def test_the_safe_copy_is_made_in_a_reader(
    service: Service, reads: Counter[str], jobs: Counter[str], tmp_path: Path
) -> None:
    path = write_clip(tmp_path / "upload.mp4", frames=12)
    card = service.videos.choose_upload("a", path, "upload.mp4", dials(0.9))
    service.videos.copies.safe(card["url"])
    assert jobs == {"prepare": 1, "encode": 1} and not reads


def test_limits_that_only_refuse_are_checked_without_another_scan(
    reads: Counter[str], tmp_path: Path
) -> None:
    path = write_clip(tmp_path / "clip.mp4", frames=24, fps=12)
    scan(path)
    with pytest.raises(UserError, match=r"lasts 2\.0 s and the limit is 1 s"):
        scan(path, Limits(max_duration_secs=1.0))
    with pytest.raises(UserError, match="kB and the limit is 10 bytes"):
        scan(path, Limits(max_bytes=10))
    assert reads == {"clip.mp4": 1}
    with pytest.raises(UserError, match="more than 5 frames"):
        scan(path, Limits(max_frames=5))


def test_threads_that_ask_at_once_wait_for_one_scan(
    monkeypatch: pytest.MonkeyPatch, reads: Counter[str], tmp_path: Path
) -> None:
    path = write_clip(tmp_path / "clip.mp4")
    read_header: Any = video_probe.read_header
    meeting, found = threading.Barrier(2), []

    def slow(*args: Any) -> Any:
        meeting.wait(PATIENCE_SECS)  # released by the test: others ask while this one reads
        return read_header(*args)

    monkeypatch.setattr(video_probe, "read_header", slow)
    threads = [threading.Thread(target=lambda: found.append(scan(path))) for _ in range(4)]
    for thread in threads:
        thread.start()
    meeting.wait(PATIENCE_SECS)
    for thread in threads:
        thread.join(PATIENCE_SECS)
    assert reads == {"clip.mp4": 1}
    assert len(found) == 4 and all(each is found[0] for each in found)


@pytest.mark.parametrize("change", ["written in place", "replaced", "touched"])
def test_a_changed_file_is_scanned_again(reads: Counter[str], tmp_path: Path, change: str) -> None:
    path = write_clip(tmp_path / "clip.mp4", frames=24)
    assert scan(path).info.frames == 24
    if change == "touched":
        os.utime(path, ns=(0, 0))
    else:
        other = write_clip(tmp_path / "other.mp4", frames=12)
        if change == "replaced":
            other.replace(path)
        else:
            path.write_bytes(other.read_bytes())
    assert scan(path).info.frames == (24 if change == "touched" else 12)
    assert reads == {"clip.mp4": 2}
