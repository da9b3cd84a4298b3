"""Far jumps in a long file land on the frame that was meant."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import pytest
from clips import number_in, write_clip

from adaspark.video import decode as video_decode
from adaspark.video import probe as video_probe
from adaspark.video.clip import (
    DEFAULT_LIMITS,
)

WANTED = [0, 3, 3, 20, 47, 48, 49, 71, 150, 151, 216, 239, 239]


@pytest.mark.parametrize("name", ["long.mp4", "long.mkv", "long.ts"])
@pytest.mark.parametrize("open_gop", ["0", "1"])
def test_far_jumps_land_on_the_wanted_frame(name: str, open_gop: str, tmp_path: Path) -> None:
    options = {"preset": "medium", "g": "24", "bf": "3", "x264-params": f"open-gop={open_gop}"}
    path = write_clip(tmp_path / name, frames=240, **options)
    shown = list(video_probe.scan(path).reader.frames(WANTED))
    assert [number_of(frame) for frame, _ in shown] == WANTED
    assert all(is_whole for _, is_whole in shown)


def number_of(frame: Any) -> int:
    return number_in(frame.to_ndarray(format="rgb24").transpose(2, 0, 1))


def test_a_seek_that_lands_too_far_starts_again(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", frames=120, g="12")
    index = video_probe.scan(path).index
    with av.open(str(path)) as container:
        landing = Overshooting(container, int(index.pts[24] - index.pts[0]))
        stream = container.streams.video[0]
        cursor = video_decode.Cursor(landing, stream, index, DEFAULT_LIMITS, looks_back=False)
        frame = cursor.frame(50)
        assert number_of(frame) == 50
        assert cursor.is_exact(50)


class Overshooting:
    """A container whose index leads two key frames too far, but for the beginning."""

    def __init__(self, container: Any, by_pts: int) -> None:
        self._container, self._by_pts = container, by_pts
        self.name = container.name

    def seek(self, pts: int, *, stream: Any) -> None:
        self._container.seek(pts + self._by_pts if pts else 0, stream=stream)

    def demux(self, stream: Any) -> Any:
        return self._container.demux(stream)


B_FRAMES = {
    "libx264": {"preset": "medium", "g": "120", "bf": "3"},
    "libx265": {"x265-params": "log-level=none:keyint=120:bframes=3"},
}


@pytest.mark.parametrize("codec", B_FRAMES)
@pytest.mark.parametrize("wanted", [WANTED, list(range(0, 240, 7))], ids=["far", "even"])
def test_frames_that_are_no_reference_are_left_out_and_change_nothing(
    codec: str, wanted: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_clip(tmp_path / "clip.mp4", frames=240, codec=codec, **B_FRAMES[codec])
    reader = video_probe.scan(path).reader
    given = counted(monkeypatch)
    fewer = [frame.to_ndarray() for frame, is_whole in reader.frames(wanted) if is_whole]
    left = len(given)
    monkeypatch.setattr(video_decode, "_TELL_REFERENCES", ())
    every = [frame.to_ndarray() for frame, is_whole in reader.frames(wanted) if is_whole]
    assert len(fewer) == len(every) == len(wanted) and left < 0.8 * (len(given) - left)
    assert all((one == other).all() for one, other in zip(fewer, every, strict=True))


def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The times of the frames that decoders give out from now on."""
    given: list[int] = []
    usual = video_decode.Decoding._decoded

    def decoded(*of: Any) -> Iterator[Any]:
        for frame in usual(*of):
            given.append(frame.pts)
            yield frame

    monkeypatch.setattr(video_decode.Decoding, "_decoded", decoded)
    return given
