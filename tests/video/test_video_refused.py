"""Every unusable file is refused with one clear sentence, quietly and quickly."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

import av
import pytest
from clips import SIZE, copy_packets, picture, write_clip, write_sound

from adaspark.errors import UserError
from adaspark.video.clip import DEFAULT_LIMITS, Limits, Sampling, probe, read_clip

SMALL = Sampling(fps=4, max_frames=8, min_pixels=56 * 56, max_pixels=168 * 168)


def refusal(path: Path | str, limits: Limits = DEFAULT_LIMITS) -> str:
    """Return the message of the refusal, checked for form."""
    with pytest.raises(UserError) as caught:
        read_clip(path, SMALL, limits=limits)
    message = str(caught.value)
    assert message.endswith(".")
    assert message.isprintable()
    assert len(message) < 250
    assert not any(word in message for word in ("Errno", "Error", "Traceback", "av.", "decord"))
    return message


def missing(folder: Path) -> Path:
    return folder / "gone.mp4"


def empty(folder: Path) -> Path:
    (folder / "empty.mp4").touch()
    return folder / "empty.mp4"


def directory(folder: Path) -> Path:
    (folder / "folder.mp4").mkdir()
    return folder / "folder.mp4"


def text(folder: Path) -> Path:
    (folder / "text.mp4").write_text("This is not a video.\n" * 100)
    return folder / "text.mp4"


def cut_before_its_index(folder: Path) -> Path:
    return cut(write_clip(folder / "clip.mp4"), 0.5)


def cut_after_its_index(folder: Path) -> Path:
    return cut(fast_start(folder), 0.6)


def cut_matroska(folder: Path) -> Path:
    return cut(write_clip(folder / "clip.mkv", frames=100), 0.5)


def cut_avi(folder: Path) -> Path:
    return cut(write_clip(folder / "clip.avi", codec="mpeg4", frames=100), 0.5)


def cut_avi_with_delay(folder: Path) -> Path:
    return cut(write_clip(folder / "delay.avi", frames=100, preset="medium", bf="3"), 0.6)


def scrambled(folder: Path) -> Path:
    path = fast_start(folder)
    content = bytearray(path.read_bytes())
    start = content.index(b"mdat") + 4
    content[start:] = random.Random(0).randbytes(len(content) - start)
    path.write_bytes(content)
    return path


def sound_only(folder: Path) -> Path:
    with av.open(str(folder / "song.mp4"), "w") as output:
        write_sound(output, output.add_stream("aac", rate=16000, layout="mono"))
    return folder / "song.mp4"


def sound_with_cover(folder: Path) -> Path:
    with av.open(str(folder / "album.mp4"), "w") as output:
        tone = output.add_stream("aac", rate=16000, layout="mono")
        cover = output.add_stream("mjpeg", rate=1)
        cover.width, cover.height = SIZE
        cover.pix_fmt = "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        frame = av.VideoFrame.from_ndarray(picture(0), format="rgb24").reformat(format="yuvj420p")
        output.mux(cover.encode(frame))
        output.mux(cover.encode(None))
        write_sound(output, tone)
    return folder / "album.mp4"


def unknown_codec(folder: Path) -> Path:
    path = write_clip(folder / "clip.mp4")
    path.write_bytes(path.read_bytes().replace(b"avc1", b"zz99").replace(b"avcC", b"zz98"))
    return path


def one_pixel_high(folder: Path) -> Path:
    return write_clip(folder / "line.mp4", size=(64, 1), pixel_format="yuv444p")


def too_thin(folder: Path) -> Path:
    return write_clip(folder / "ribbon.mp4", size=(804, 4))


def pipe(folder: Path) -> Path:
    os.mkfifo(folder / "pipe.mp4")
    return folder / "pipe.mp4"


def cut(path: Path, share: float) -> Path:
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    return path


def fast_start(folder: Path) -> Path:
    """An MP4 of 100 frames, each a key frame, whose index comes first."""
    slow = write_clip(folder / "slow.mp4", frames=100, g="1")
    return copy_packets(slow, folder / "fast.mp4", movflags="faststart")


def zeroed(path: Path, share: float) -> Path:
    """Overwrite a share of the pictures in the middle of a file."""
    content = bytearray(path.read_bytes())
    size = len(content) - content.index(b"mdat")
    start = len(content) - size // 2
    length = round(size * share)
    content[start : start + length] = bytes(length)
    path.write_bytes(content)
    return path


def damaged_in_the_middle(folder: Path) -> Path:
    return zeroed(fast_start(folder), 0.4)


def growing(folder: Path) -> Path:
    """A stream whose frames become larger than its header says."""
    small = write_clip(folder / "small.mkv", codec="mjpeg", pixel_format="yuvj420p", frames=2)
    large = write_clip(
        folder / "large.mkv", codec="mjpeg", pixel_format="yuvj420p", size=(1024, 768)
    )
    path = folder / "growing.mkv"
    with av.open(str(small)) as first, av.open(str(large)) as then, av.open(path, "w") as output:
        stream = output.add_stream_from_template(first.streams.video[0])
        for packet in [*first.demux(video=0), *then.demux(video=0)]:
            if packet.dts is not None:
                packet.pts += 200 * (packet.stream is then.streams.video[0])
                packet.dts, packet.stream = packet.pts, stream
                output.mux(packet)
    return path


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (missing, "no readable file gone.mp4"),
        (empty, "empty.mp4 is empty"),
        (directory, "folder.mp4 is a folder"),
        (text, "text.mp4 is not a video"),
        (cut_before_its_index, "index is missing or broken"),
        (cut_after_its_index, "fast.mp4 is cut off: only"),
        (cut_matroska, "clip.mkv is cut off: only"),
        (cut_avi, "clip.avi is cut off: only"),
        (cut_avi_with_delay, "delay.avi is cut off: only"),
        (scrambled, "fast.mp4 is damaged"),
        (damaged_in_the_middle, "too many of its frames cannot be decoded"),
        (sound_only, "song.mp4 has sound but no picture"),
        (sound_with_cover, "album.mp4 has sound but no picture"),
        (unknown_codec, "clip.mp4 uses a video codec that is unknown here"),
        (one_pixel_high, "line.mp4 is 64 x 1 pixels, too thin"),
        (too_thin, "ribbon.mp4 is 804 x 4 pixels, too thin"),
        (pipe, "pipe.mp4 is not an ordinary file"),
    ],
)
def test_refused_in_one_sentence(
    make: Callable[[Path], Path],
    says: str,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    path = make(tmp_path)
    capfd.readouterr()
    assert says in refusal(path)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("limits", "says"),
    [
        (Limits(max_bytes=1000), "limit is 1 kB"),
        (Limits(max_duration_secs=1.5), "lasts 2.0 s and the limit is 2 s"),
        (Limits(max_pixels=128 * 96 - 1), "128 x 96 pixels and the limit is 12,287 pixels"),
        (Limits(max_frames=23), "more than 23 frames"),
    ],
)
def test_over_a_limit(limits: Limits, says: str, tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4")
    assert says in refusal(path, limits)
    at_the_limit = Limits(
        max_bytes=path.stat().st_size, max_duration_secs=2, max_pixels=128 * 96, max_frames=24
    )
    assert probe(path, at_the_limit).frames == 24


@pytest.mark.parametrize(
    "playlist",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{target}\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile '{target}'\n",
        "v=0\nm=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
    ],
)
@pytest.mark.parametrize("name", ["list.mp4", "list.m3u8"])
def test_a_playlist_is_not_followed(playlist: str, name: str, tmp_path: Path) -> None:
    target = write_clip(tmp_path / "target.mp4")
    (tmp_path / name).write_text(playlist.format(target=target))
    assert f"{name} is not a video of a known kind" in refusal(tmp_path / name)


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/clip.mp4", "rtsp://host/x", "file://x"])
def test_an_address_is_not_opened(address: str) -> None:
    assert "is an address, not a file" in refusal(address)


def test_a_hostile_name_stays_one_line(tmp_path: Path) -> None:
    path = tmp_path / ("x\n\x1b[31m" + "long" * 40 + ".mp4")
    path.write_text("nothing")
    assert "x??[31m" in refusal(path)


def test_a_little_damage_in_a_long_clip_is_played_over(tmp_path: Path) -> None:
    dense = Sampling(fps=12, max_frames=100, min_pixels=56 * 56, max_pixels=84 * 84)
    assert len(read_clip(zeroed(fast_start(tmp_path), 0.02), dense).frames) == 100


@pytest.mark.parametrize("kind", ["mkv", "mp4"])
def test_a_size_beyond_any_file_is_no_place_to_look(kind: str, tmp_path: Path) -> None:
    path = write_clip(tmp_path / f"clip.{kind}")
    content = path.read_bytes()
    if kind == "mkv":  # the element after the header: Void, of 2^56 - 2 bytes
        at = content.index(b"\x18\x53\x80\x67") + 12
        lie = b"\xec\x01" + b"\xff" * 6 + b"\xfe"
    else:
        at, lie = 0, b"\x00\x00\x00\x01free" + b"\xff" * 8
    path.write_bytes(content[:at] + lie + content[at:])
    try:
        assert probe(path).frames == 24
    except UserError as error:
        assert path.name in str(error)


def test_frames_that_outgrow_the_limit_are_not_decoded(tmp_path: Path) -> None:
    path = growing(tmp_path)
    assert len(read_clip(path, SMALL).frames) == 8
    assert "cannot be decoded" in refusal(path, Limits(max_pixels=1024 * 768 - 1))


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.avi"])
def test_random_damage_never_escapes_as_another_error(
    name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = write_clip(tmp_path / name, frames=48, g="8")
    whole = path.read_bytes()
    outcomes = set()
    for seed in range(25):
        path.write_bytes(mutated(whole, random.Random(seed)))
        try:
            outcomes.add(read_clip(path, SMALL).frames.shape)
        except UserError as error:
            outcomes.add(str(error))
    assert len(outcomes) > 1
    assert capfd.readouterr() == ("", "")


def mutated(content: bytes, rng: random.Random) -> bytes:
    changed = bytearray(content)
    kind = rng.randrange(3)
    if kind == 0:
        return bytes(changed[: rng.randrange(1, len(changed))])
    if kind == 1:
        start = rng.randrange(len(changed))
        end = min(len(changed), start + rng.randrange(1, len(changed) // 3))
        changed[start:end] = bytes(end - start)
        return bytes(changed)
    for _ in range(3 ** rng.randrange(8)):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)
