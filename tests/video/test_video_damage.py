"""Damage that is played over is said; encrypted files are named."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from clips import damage_packets, encrypt_matroska, number_in, picture, write_clip
from PIL import Image

from adaspark.cli import main
from adaspark.errors import UserError
from adaspark.video.clip import Clip, Sampling, probe, read_clip

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


@pytest.mark.parametrize("name", ["clip.wmv", "clip.flv", "clip.webp"])
def test_more_kinds_that_are_cut_off_are_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    if name.endswith("webp"):
        pictures = [Image.fromarray(picture(n)) for n in range(20)]
        pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=100)
    else:
        write_clip(path, frames=100, codec={"clip.wmv": "wmv2", "clip.flv": "flv1"}[name])
    assert probe(path).frames in (20, 100)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    assert f"{name} is cut off: only" in refusal(path)


@pytest.mark.parametrize("name", ["clip.ts", "clip.mpg"])
def test_a_broadcast_may_begin_and_end_anywhere(name: str, tmp_path: Path) -> None:
    codec = "mpeg2video" if name.endswith("mpg") else "libx264"
    whole = write_clip(tmp_path / f"whole-{name}", frames=100, fps=25, codec=codec, g="10")
    content = whole.read_bytes()
    packet = 2048 if name.endswith("mpg") else 188
    third = len(content) // 3 // packet * packet
    (tmp_path / name).write_bytes(content[third : 2 * third + packet // 2])
    clip = read(tmp_path / name)
    numbers = [number_in(frame) for frame in clip.frames]
    assert 0 < numbers[0] < numbers[-1] < 99
    passed = (np.array(numbers) - numbers[0]) / 25
    # Small frames share a packet of a program stream, which states the time of one of them.
    assert clip.times_secs == pytest.approx(passed, abs=1 / 25 if name.endswith("mpg") else 0.001)


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


@pytest.mark.parametrize("name", ["clip.ts", "clip.m2ts"])
def test_a_scrambled_broadcast_is_named(name: str, tmp_path: Path) -> None:
    path = write_clip(tmp_path / name, frames=48)
    assert probe(path).frames == 48
    content = bytearray(path.read_bytes())
    start, step = (0, 188) if name.endswith(".ts") else (4, 192)
    for at in range(start, len(content), step):
        program = (content[at + 1] & 0x1F) << 8 | content[at + 2]
        if program >= 0x100:  # not the tables, which stay clear
            content[at + 3] |= 0x80
    path.write_bytes(content)
    assert refusal(path) == f"{name} is encrypted (DRM): give an unencrypted copy."


def test_encrypted_windows_media_is_named(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.wmv", codec="wmv2")
    assert probe(path).frames == 24
    content = bytearray(path.read_bytes())
    # The header's object of free texts becomes one that says "encrypted".
    at = content.index(bytes.fromhex("40a4d0d207e3d21197f000a0c95ea850"))
    content[at : at + 16] = bytes.fromhex("fbb3112223bdd211b4b700a0c955fc6e")
    path.write_bytes(content)
    assert refusal(path) == "clip.wmv is encrypted (DRM): give an unencrypted copy."


def test_an_encrypted_matroska_is_named(tmp_path: Path) -> None:
    path = encrypt_matroska(write_clip(tmp_path / "clip.mkv"))
    assert refusal(path) == "clip.mkv is encrypted (DRM): give an unencrypted copy."
