"""Damage that is played over is said; encrypted files are named."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from clips import damage_packets, encrypt_matroska, write_clip

from adaspark.cli import main
from adaspark.errors import UserError
from adaspark.video import Clip, Sampling, probe, read_clip

FFMPEG = shutil.which("ffmpeg")
EVERY = Sampling(fps=12, max_frames=100, min_pixels=56 * 56, max_pixels=84 * 84)
FAST = {"preset": "ultrafast", "bf": "0"}


TENTHS = Sampling(fps=10, max_frames=100, min_pixels=56 * 56, max_pixels=84 * 84)


def read(path: Path) -> Clip:
    return read_clip(path, EVERY)


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.avi"])
def test_damaged_pictures_are_counted(name: str, tmp_path: Path) -> None:
    path = write_clip(tmp_path / name, codec="mpeg4", frames=16, fps=10, g="1")
    damage_packets(path, range(2, 11))
    assert read_clip(path, TENTHS).warnings == (
        f"{name} is partly damaged: 9 of 16 frames are damaged "
        "and shown as far as they can be decoded.",
    )


def test_what_is_decoded_from_a_damaged_picture_is_damaged_too(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", frames=24, g="12", **FAST)
    assert read(path).warnings == ()
    # The fifth of the second twelve; those after it are decoded from it, to the end.
    assert "8 of 24 frames are" in read(damage_packets(path, [16])).warnings[0]


def test_damage_does_not_outlast_the_next_key_frame(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", frames=36, g="12", **FAST)
    assert "2 of 36 frames are" in read(damage_packets(path, [22])).warnings[0]


def test_nothing_but_damage_is_refused(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", codec="mpeg4", frames=16, g="1")
    with pytest.raises(UserError, match=r"clip.mp4 is damaged: all of its frames"):
        read(damage_packets(path, range(16)))


def test_the_command_line_says_damage_and_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_clip(tmp_path / "clip.mp4", codec="mpeg4", frames=16, g="1")
    damage_packets(path, range(2, 11))
    quick = ["--fps", "12", "--max-frames", "16", "--max-new-tokens", "2"]
    assert main(["ask", str(path), "what color ?", "--json", "-", *quick]) == 0
    out, err = capsys.readouterr()
    assert "9 of 16 frames are damaged" in err
    assert "9 of 16 frames are damaged" in json.loads(out)["warnings"][0]


def refusal(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        probe(path)
    return str(caught.value)


@pytest.mark.skipif(FFMPEG is None, reason="the ffmpeg program is not installed")
@pytest.mark.parametrize(
    "options", ["", "-movflags faststart", "-movflags frag_keyframe+empty_moov"]
)
def test_an_encrypted_mp4_is_named(options: str, tmp_path: Path) -> None:
    source = write_clip(tmp_path / "clip.mp4")
    encryption = "-encryption_scheme cenc-aes-ctr -encryption_key 76a6c65c5ea762046bd749a2e632ccbb"
    kid = "-encryption_kid a7e61c373e219033c21091fa607bf3b8"
    command = f"{FFMPEG} -v error -i {source} -c copy {encryption} {kid} {options} {tmp_path}/c.mp4"
    subprocess.run(command.split(), check=True, timeout=60)
    assert refusal(tmp_path / "c.mp4") == "c.mp4 is encrypted (DRM): give an unencrypted copy."


def test_an_encrypted_matroska_is_named(tmp_path: Path) -> None:
    path = encrypt_matroska(write_clip(tmp_path / "clip.mkv"))
    assert refusal(path) == "clip.mkv is encrypted (DRM): give an unencrypted copy."
