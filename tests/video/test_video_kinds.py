"""More kinds of files, and images, open like the rest; what is no video is named."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import av
import numpy as np
import pytest
from clips import SIZE, is_upright, number_in, picture, write_clip
from PIL import Image

from adaspark.errors import UserError
from adaspark.video.clip import Limits, Sampling, content_hash, probe, read_clip
from adaspark.video.probe import scan
from app.media.uploads import make_proxy

FFMPEG = shutil.which("ffmpeg")
SMALL = Sampling(fps=4, max_frames=16, min_pixels=56 * 56, max_pixels=168 * 168)
FPS = 12
H264 = "-c:v libx264 -pix_fmt yuv420p -bf 3 -g 12"

needs_ffmpeg = pytest.mark.skipif(FFMPEG is None, reason="the ffmpeg program is not installed")


def ffmpeg(*arguments: str | Path) -> None:
    command = [FFMPEG or "ffmpeg", "-v", "error", "-y", *map(str, arguments)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """48 numbered frames, lossless, 12 a second."""
    path = tmp_path_factory.mktemp("source") / "source.mkv"
    return write_clip(path, codec="ffv1", frames=48, pixel_format="yuv444p")


@needs_ffmpeg
@pytest.mark.parametrize(
    ("name", "arguments", "kind"),
    [
        ("a.ts", H264, "MPEG-TS"),
        ("a.m2ts", H264, "M2TS"),
        ("a.flv", H264, "FLV"),
        ("sorenson.flv", "-c:v flv -q:v 2", "FLV"),
        ("a.wmv", "-c:v wmv2 -q:v 2", "WMV"),
        ("a.ogv", "-c:v libtheora -q:v 9", "OGV"),
        ("a.3gp", H264, "3GP"),
        ("a.gif", "-vf format=rgb8", "GIF"),
        ("a.apng", "-f apng -pix_fmt rgb24", "APNG"),
        ("a.webp", "-c:v libwebp_anim -lossless 1", "WebP"),
        ("ts.mp4", f"{H264} -f mpegts", "MPEG-TS"),
        ("flv.mp4", f"{H264} -f flv", "FLV"),
        ("gif.mp4", "-vf format=rgb8 -f gif", "GIF"),
    ],
)
def test_more_kinds_show_the_right_frames(
    name: str, arguments: str, kind: str, source: Path, tmp_path: Path
) -> None:
    path = tmp_path / name
    ffmpeg("-i", source, *arguments.split(), path)
    clip = read_clip(path, SMALL)
    assert clip.info.container == kind
    assert clip.info.frames == 48
    # GIF counts hundredths, and the last frame of an animation is a little short.
    assert clip.info.duration_secs == pytest.approx(4, abs=0.011)
    numbers = [number_in(frame) for frame in clip.frames]
    assert len(set(numbers)) == len(numbers) >= 14
    assert clip.times_secs == pytest.approx(np.array(numbers) / FPS, abs=0.006)
    assert all(is_upright(frame) for frame in clip.frames)


@needs_ffmpeg
@pytest.mark.parametrize(
    ("name", "arguments", "kind"),
    [
        ("a.mpg", "-c:v mpeg1video -q:v 2", "MPEG-PS"),
        ("a.vob", "-c:v mpeg2video -bf 2 -q:v 2", "MPEG-PS"),
        ("mpeg2.ts", "-c:v mpeg2video -bf 2 -q:v 2 -f mpegts", "MPEG-TS"),
        ("a.dv", "-s 720x576 -pix_fmt yuv420p -c:v dvvideo", "DV"),
        ("mpg.mp4", "-c:v mpeg2video -q:v 2 -f mpeg", "MPEG-PS"),
    ],
)
def test_kinds_that_know_only_television_rates(
    name: str, arguments: str, kind: str, source: Path, tmp_path: Path
) -> None:
    path = tmp_path / name
    ffmpeg("-i", source, "-vf", "fps=25", "-r", "25", *arguments.split(), path)
    clip = read_clip(path, SMALL)
    assert clip.info.container == kind
    assert clip.info.frames == pytest.approx(100, abs=1)
    numbers = [number_in(frame) for frame in clip.frames]
    assert np.array(numbers) / FPS == pytest.approx(clip.times_secs, abs=1 / FPS + 1 / 25)


@pytest.mark.few(4)
@needs_ffmpeg
@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("a.ts", H264),
        ("hevc.ts", "-c:v libx265 -x265-params log-level=none:keyint=12"),
        ("a.flv", H264),
        ("a.wmv", "-c:v wmv2 -q:v 2 -g 12"),
        ("a.ogv", "-c:v libtheora -q:v 9 -g 12"),
        ("a.mpg", "-c:v mpeg2video -q:v 2 -bf 2 -r 25 -g 12"),
        ("a.gif", "-vf format=rgb8"),
        ("a.webp", "-c:v libwebp_anim -lossless 1"),
    ],
)
def test_far_jumps_are_what_reading_on_gives(name: str, arguments: str, tmp_path: Path) -> None:
    long = write_clip(tmp_path / "long.mkv", codec="ffv1", frames=240, pixel_format="yuv444p")
    ffmpeg("-i", long, *arguments.split(), tmp_path / name)
    scanned = scan(tmp_path / name)
    pictures = {n: frame.to_ndarray(format="rgb24") for n, frame in scanned.reader.numbered()}
    wanted = [*range(0, len(pictures), 31), len(pictures) - 1]
    for number, (frame, is_whole) in zip(wanted, scanned.reader.frames(wanted), strict=True):
        assert is_whole
        assert np.array_equal(frame.to_ndarray(format="rgb24"), pictures[number])


def write_gif(path: Path, millis: list[int]) -> Path:
    pictures = [Image.fromarray(picture(n)) for n in range(len(millis))]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=millis, loop=0)
    return path


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.png"])
def test_an_animation_keeps_its_own_times(name: str, tmp_path: Path) -> None:
    path = write_gif(tmp_path / name, [50, 500, 200, 1000])
    clip = read_clip(path, SMALL)
    assert clip.info.frames == 4
    assert clip.info.duration_secs == pytest.approx(1.75)
    assert scan(path).index.times_secs == pytest.approx([0, 0.05, 0.55, 0.75])
    # On screen at 0, 0.4375, 0.875 and 1.3125 s.
    assert [number_in(frame) for frame in clip.frames] == [0, 1, 3, 3]


@pytest.mark.parametrize("name", ["a.gif", "a.webp"])
def test_a_frame_of_no_length_lasts_as_in_browsers(name: str, tmp_path: Path) -> None:
    path = write_gif(tmp_path / name, [0, 0, 0, 0])
    assert probe(path).duration_secs == pytest.approx(0.4)


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.png"])
def test_an_animation_plays_in_the_browser(name: str, tmp_path: Path) -> None:
    path = write_gif(tmp_path / name, [200] * 6)
    played = scan(make_proxy(probe(path), tmp_path / "proxies"))
    assert played.index.times_secs == pytest.approx(np.arange(6) / 5, abs=0.001)


def write_images(folder: Path, numbers: list[int], suffix: str = "png") -> Path:
    folder.mkdir()
    for number in numbers:
        Image.fromarray(picture(number)).save(folder / f"shot {number}.{suffix}", quality=95)
    (folder / "notes.txt").write_text("not an image")
    (folder / ".hidden.png").write_text("not an image")
    return folder


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "bmp", "tiff"])
def test_a_folder_of_images_is_a_video_in_the_order_people_count(
    suffix: str, tmp_path: Path
) -> None:
    folder = write_images(tmp_path / "shots", list(range(12)), suffix)
    clip = read_clip(folder, SMALL)
    assert [number_in(frame) for frame in clip.frames] == list(range(12))
    assert clip.times_secs == pytest.approx(np.arange(12) / 4)
    assert (clip.info.frames, clip.info.duration_secs, clip.info.container) == (12, 3, "images")
    assert (clip.info.width, clip.info.height) == SIZE
    assert clip.warnings == ()


def test_a_list_or_pattern_of_images_is_a_video_too(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "shots", list(range(12)))
    chosen = [folder / f"shot {n}.png" for n in (7, 2, 5, 11)]
    clip = read_clip(chosen, SMALL)
    assert [number_in(frame) for frame in clip.frames] == [7, 2, 5, 11]
    ones = read_clip(str(folder / "shot 1*.png"), SMALL)
    assert [number_in(frame) for frame in ones.frames] == [1, 10, 11, 11][: len(ones.frames)]
    assert content_hash(chosen) != content_hash(chosen[::-1]) != content_hash(folder)


def test_images_of_other_sizes_are_fitted_to_the_first_and_said(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "shots", list(range(8)))
    Image.fromarray(picture(3, (64, 96))).save(folder / "shot 3.png")
    clip = read_clip(folder, SMALL)
    assert clip.frames.shape[0] == 8
    assert [number_in(frame) for n, frame in enumerate(clip.frames) if n != 3] == [
        0,
        1,
        2,
        *range(4, 8),
    ]
    assert "1 of 8 images" in clip.warnings[0]
    assert "128 x 96" in clip.warnings[0]
    # Fitted, not stretched: black at the left and right.
    assert clip.frames[3][:, :, :8].max() < 8


def test_images_are_upright_on_black_and_of_eight_bits(tmp_path: Path) -> None:
    folder = tmp_path / "shots"
    folder.mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6  # stored turned to the left
    turned = Image.fromarray(picture(5)).transpose(Image.Transpose.ROTATE_90)
    turned.save(folder / "1.jpg", exif=exif, quality=95)
    clear = np.dstack([picture(5), np.full(SIZE[::-1], 255, np.uint8)])
    clear[:48, :64, 3] = 0
    Image.fromarray(clear).save(folder / "2.png")
    deep = np.full(SIZE[::-1], 128 << 8, np.uint16)
    Image.fromarray(deep).save(folder / "3.png")
    clip = read_clip(folder, SMALL)
    assert (clip.info.width, clip.info.height) == SIZE
    assert is_upright(clip.frames[0])
    assert clip.frames[1][:, 4:20, 4:20].max() == 0
    read = scan(folder, fps=1).reader
    assert [frame.to_ndarray().mean() for frame, _ in read.frames([2])] == [128]


def refusal(source: object, **limits: int) -> str:
    with pytest.raises(UserError) as caught:
        read_clip(source, SMALL, limits=Limits(**limits))  # type: ignore[arg-type]
    return str(caught.value)


def test_images_that_cannot_be_used_are_refused_in_a_sentence(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "shots", list(range(4)))
    with pytest.raises(UserError, match="say with --fps"):
        probe(folder)
    assert "limit is 12,287 pixels" in refusal(folder, max_pixels=128 * 96 - 1)
    assert "limit is 1 kB" in refusal(folder, max_bytes=1000)
    assert "more than 3 images" in refusal(folder, max_frames=3)
    (folder / "shot 2.png").write_bytes(b"\x89PNG but no more")
    assert "shot 2.png is not an image" in refusal(folder)
    (tmp_path / "empty").mkdir()
    assert "empty is a folder without images" in refusal(tmp_path / "empty")
    assert "no readable file" in refusal([tmp_path / "gone.png"])
    assert "list of images is empty" in refusal([])


REFERENCES = {
    "m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{target}\n#EXT-X-ENDLIST\n",
    "ffconcat": "ffconcat version 1.0\nfile '{target}'\n",
    "sdp": "v=0\nm=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
    "mpd": '<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011"/>\n',
    "asx": "<asx version='3.0'><entry><ref href='{target}'/></entry></asx>\n",
    "pls": "[playlist]\nFile1={target}\n",
}


@pytest.mark.parametrize("kind", REFERENCES)
@pytest.mark.parametrize("suffix", ["mp4", "ts", "own"])
def test_a_playlist_is_named_and_not_followed(kind: str, suffix: str, tmp_path: Path) -> None:
    target = write_clip(tmp_path / "target.mp4")
    path = tmp_path / f"list.{kind if suffix == 'own' else suffix}"
    path.write_text(REFERENCES[kind].format(target=target))
    assert f"{path.name} is not a video of a known kind, it is a playlist" in refusal(path)


def test_a_movie_whose_pictures_lie_in_another_file_is_not_followed(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "target.mov")
    content = path.read_bytes()
    # A data reference of kind "url " that is not to this file itself (flag 0).
    at = content.index(b"url \0\0\0\1")
    (tmp_path / "reference.mov").write_bytes(content[:at] + b"url \0\0\0\0" + content[at + 8 :])
    other = write_clip(tmp_path / "other.mov", frames=4)
    assert other.exists()
    try:
        numbers = [number_in(f) for f in read_clip(tmp_path / "reference.mov", SMALL).frames]
    except UserError:
        return
    assert numbers == list(range(0, 24, 3))  # its own pictures, or none


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"\xff\xd8\xff\xe0\0\x10JFIF\0", "a JPEG image"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "a PNG image"),
        (b"RIFF\x24\0\0\0WEBPVP8 ", "a WebP image"),
        (b"RIFF\x24\0\0\0WAVEfmt ", "a WAV sound file"),
        (b"ID3\4\0\0\0\0\0\0", "an MP3 sound file"),
        (b"<!DOCTYPE html><html></html>", "a web page"),
        (b"PK\3\4\x14\0", "an archive"),
        (b"%PDF-1.7\n", "a PDF document"),
    ],
)
def test_what_is_no_video_is_named(content: bytes, kind: str, tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(content + bytes(2000))
    assert f"clip.mp4 is not a video of a known kind, it is {kind}: give an MP4" in refusal(path)


def test_sound_in_matroska_is_named(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "song.mka"), "w", format="matroska") as output:
        stream = output.add_stream("aac", rate=16000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.sample_rate = 16000
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    assert "song.mka has sound but no picture" in refusal(tmp_path / "song.mka")
