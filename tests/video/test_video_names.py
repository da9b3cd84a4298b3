"""No limits, names that are not UTF-8, and files that are written whole or not at all."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from clips import write_clip

from adaspark.cli import main
from adaspark.files import write_whole
from adaspark.trace.trace import Trace
from adaspark.video.clip import DEFAULT_LIMITS, Limits, Sampling, probe, read_clip
from app.media.uploads import describe, make_proxy

SMALL = Sampling(fps=4, max_frames=8, min_pixels=56 * 56, max_pixels=168 * 168)
QUICK = ["--max-frames", "4", "--max-new-tokens", "2"]
NOT_UTF8 = os.fsdecode(b"caf\xe9.mp4")


@pytest.fixture
def awkward(tmp_path: Path) -> Path:
    plain = write_clip(tmp_path / "plain.mp4")
    return plain.rename(tmp_path / NOT_UTF8)


def test_ones_own_files_have_no_limit_of_bytes_or_length(tmp_path: Path) -> None:
    assert (DEFAULT_LIMITS.max_bytes, DEFAULT_LIMITS.max_duration_secs) == (None, None)
    path = write_clip(tmp_path / "long.mp4", times_millis=[0, 3_600_000, 7_300_000])
    with path.open("ab") as file:  # a box that says nothing
        file.write((600_000_000).to_bytes(4, "big") + b"free")
        file.truncate(path.stat().st_size + 600_000_000)
    assert probe(path).duration_secs > 7200
    assert probe(path, Limits(max_bytes=None, max_duration_secs=None)).frames == 3


def test_a_name_that_is_not_utf8_is_read(awkward: Path, tmp_path: Path) -> None:
    assert len(read_clip(awkward, SMALL).frames) == 8
    assert probe(make_proxy(probe(awkward), tmp_path / "proxies")).frames == 24


def test_a_name_that_is_not_utf8_is_asked_about(
    awkward: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page, figures, trace = (
        tmp_path / os.fsdecode(b"\xff." + s) for s in (b"html", b"json", b"npz")
    )
    files = ["--report", str(page), "--json", str(figures), "--trace", str(trace)]
    assert main(["ask", str(awkward), "what color ?", *files, *QUICK]) == 0
    assert "Traceback" not in capsys.readouterr().err
    assert "caf?.mp4" in page.read_text("utf-8")
    assert json.loads(figures.read_text("utf-8"))["answer"]
    assert Trace.load(trace).meta.clip.name == "caf?.mp4"


def test_a_name_that_is_not_utf8_is_refused_in_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / NOT_UTF8).write_text("not a video")
    assert main(["ask", str(tmp_path / NOT_UTF8), "what color ?"]) == 2
    assert "caf?.mp4 is not a video" in capsys.readouterr().err


def test_a_failed_writing_leaves_what_was_there(tmp_path: Path) -> None:
    def fail(draft: Path) -> None:
        draft.write_text("half")
        raise UnicodeEncodeError("utf-8", "\udce9", 0, 1, "surrogates not allowed")

    old = tmp_path / "old.html"
    old.write_text("whole")
    for target in (old, tmp_path / "new.html"):
        with pytest.raises(UnicodeEncodeError):
            write_whole(target, fail)
    assert [path.name for path in tmp_path.iterdir()] == ["old.html"]
    assert old.read_text() == "whole"


def test_a_link_or_a_device_stays_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "file")
    for target in (tmp_path / "link", Path("/dev/null")):
        write_whole(target, lambda draft: draft.write_text("new"))
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_text() == "new"
    assert not Path("/dev/null").is_file()


def test_a_target_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    target = tmp_path / "none" / "page.html"
    with pytest.raises(OSError, match=r"page\.html"):
        write_whole(target, lambda draft: draft.write_text("new"))


class Shown:
    frames, shown_width, shown_height, video_tokens, note = 8, 84, 56, 24, ""


def test_the_line_of_facts_says_what_is_odd(tmp_path: Path) -> None:
    from dataclasses import replace

    info = probe(write_clip(tmp_path / "clip.mp4"))
    assert describe(info, Shown()).endswith("24 visual tokens")
    odd = replace(info, start_secs=3.0, warnings=("clip.mp4 is odd.",))
    assert describe(odd, Shown()).endswith(
        "tokens. Its picture starts 3.0 s after its sound; times here count from it. "
        "clip.mp4 is odd."
    )
