"""Files of many kinds, made by ffmpeg, whose every frame tells its number and whose colours are
known: three patches above, twelve cells below, white for a 1 of the number, highest bit first.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np

WIDTH, HEIGHT, BITS, FPS = 336, 224, 12, 12
PATCHES = ((220, 30, 30), (30, 160, 60), (40, 60, 220))
SDR = "setparams=color_primaries=bt709:color_trc=bt709:colorspace=gbr:range=pc"
BT601 = "-color_primaries smpte170m -color_trc smpte170m -colorspace smpte170m -color_range tv"
BT709 = "-color_primaries bt709 -color_trc bt709 -colorspace bt709 -color_range tv"
X264 = "-c:v libx264 -preset veryfast -crf 14 -pix_fmt yuv420p -g 12"
TAGGED = f"-vf scale=out_color_matrix=bt601:out_range=tv,format=yuv420p {X264} {BT601}"


@dataclass(frozen=True)
class Recipe:
    """What ffmpeg is told between its input and the file's name.

    The input is the numbered frames, or the file of another recipe's `source`.
    """

    arguments: str
    source: str | None = None
    frames: int = 48


def hdr(transfer: str) -> str:
    """The arguments that write HDR video whose SDR white is at 203 candelas, as BT.2408 has it."""
    to_light = "zscale=t=linear:npl=203,format=gbrpf32le,zscale=p=bt2020"
    to_code = f"zscale=t={transfer}:m=bt2020nc:r=tv:npl=203,format=yuv420p10le"
    tags = f"-color_primaries bt2020 -color_trc {transfer} -colorspace bt2020nc -tag:v hvc1"
    encoder = "-c:v libx265 -crf 12 -x265-params log-level=1"
    return f"-vf format=gbrp,{SDR},{to_light},{to_code} {encoder} {tags}"


SMALL = {
    "plain.mp4": Recipe(TAGGED),
    "plain.mkv": Recipe("-c copy", "plain.mp4"),
    "untagged.mp4": Recipe(f"-vf scale=out_color_matrix=bt601:out_range=tv {X264}"),
    "open-gop.mp4": Recipe(f"{TAGGED} -bf 3 -x264-params open-gop=1:scenecut=0"),
    "intra-refresh.mp4": Recipe(
        f"{TAGGED} -bf 0 -x264-params intra-refresh=1:keyint=24", frames=96
    ),
    "interlaced.mp4": Recipe(f"{TAGGED} -flags +ildct+ilme -x264-params tff=1"),
    "full-range.mp4": Recipe(
        "-vf scale=out_range=pc:out_color_matrix=bt601,format=yuv420p -c:v libx264 -crf 14 "
        "-color_range pc -colorspace bt470bg"
    ),
    "vp9.webm": Recipe("-c:v libvpx-vp9 -threads 1 -b:v 1M -cpu-used 8 -deadline realtime -g 24"),
    "turned.mp4": Recipe("-c copy -metadata:s:v:0 rotate=270", "lying.mp4"),
}
"""One of each kind that the browser's copy treats in its own way."""

OPEN_GOP_KINDS = {
    "open-gop-bluray.mp4": "open-gop=1:bluray-compat=1:keyint=24:scenecut=0",
    "open-gop-long.mp4": "open-gop=1:keyint=30:bframes=8:b-pyramid=normal:scenecut=0",
    "closed-many-b.mp4": "bframes=16:keyint=48:b-adapt=2",
    "one-key.mp4": "keyint=9999:scenecut=0",
    "slices.mp4": "slices=4",
    "mbaff.mp4": "interlaced=1:bff=1",
    "level-gaps.mp4": "keyint=12:ref=16",
}
MORE = {
    **{
        name: Recipe(f"{TAGGED} -bf 3 -x264-params {kind}") for name, kind in OPEN_GOP_KINDS.items()
    },
    "plain.mov": Recipe("-c copy", "plain.mp4"),
    "plain.ts": Recipe("-c copy", "plain.mp4"),
    "plain.m2ts": Recipe("-c copy -f mpegts -mpegts_m2ts_mode 1", "plain.mp4"),
    "plain.flv": Recipe("-c copy", "plain.mp4"),
    "plain.3gp": Recipe("-c copy", "plain.mp4"),
    "plain.avi": Recipe("-c copy", "closed-no-b.mp4"),
    "closed-no-b.mp4": Recipe(f"{TAGGED} -bf 0"),
    "open-gop.mkv": Recipe("-c copy", "open-gop.mp4"),
    "open-gop.ts": Recipe("-c copy", "open-gop.mp4"),
    "fragmented.mp4": Recipe("-c copy -movflags frag_keyframe+empty_moov", "plain.mp4"),
    "cut.mp4": Recipe("-ss 0.7 -c copy", "plain.mp4"),
    "late.mp4": Recipe("-c copy -output_ts_offset 3", "plain.mp4"),
    "size-change.ts": Recipe("-c copy", "wide-then-small.ts"),
    "bt709.mp4": Recipe(
        f"-vf scale=out_color_matrix=bt709:out_range=tv,format=yuv420p {X264} {BT709}"
    ),
    "hd.mp4": Recipe(TAGGED.replace("scale=", "scale=1280:720:")),
    "hd-untagged.mp4": Recipe(f"-vf scale=1280:720:out_color_matrix=bt709,format=yuv420p {X264}"),
    "half-tagged.mp4": Recipe(
        f"-vf scale=out_color_matrix=bt709:out_range=tv,format=yuv420p {X264} -colorspace bt709"
    ),
    "bt2020.mp4": Recipe(
        f"-vf scale=out_color_matrix=bt2020:out_range=tv,format=yuv420p {X264} "
        "-color_primaries bt709 -color_trc bt709 -colorspace bt2020nc"
    ),
    "high-422.mp4": Recipe("-c:v libx264 -crf 14 -pix_fmt yuv422p"),
    "ten-bit.mp4": Recipe("-c:v libx264 -crf 14 -pix_fmt yuv420p10le"),
    "odd.mp4": Recipe("-vf scale=335:223 -c:v libx264 -crf 14 -pix_fmt yuv444p"),
    "wide-pixels.mp4": Recipe(f"-vf setsar=4/3 {X264}"),
    "hevc.mp4": Recipe("-c:v libx265 -x265-params log-level=1 -pix_fmt yuv420p -tag:v hvc1"),
    "hdr10.mp4": Recipe(hdr("smpte2084")),
    "hlg.mov": Recipe(hdr("arib-std-b67")),
    "vp8.webm": Recipe("-c:v libvpx -threads 1 -b:v 1M -cpu-used 8 -deadline realtime"),
    "av1.mp4": Recipe("-c:v libsvtav1 -preset 10 -crf 20 -pix_fmt yuv420p"),
    "mpeg4.avi": Recipe("-c:v mpeg4 -q:v 2 -bf 2"),
    "mpeg4-copied.mp4": Recipe("-c copy", "mpeg4.avi"),
    "mpeg2.mpg": Recipe("-r 25 -c:v mpeg2video -q:v 2"),
    "prores.mov": Recipe("-c:v prores_ks"),
    "mjpeg.avi": Recipe("-c:v mjpeg -q:v 2 -pix_fmt yuvj420p"),
    "theora.ogv": Recipe("-c:v libtheora -q:v 10 -pix_fmt yuv420p"),
    "wmv2.wmv": Recipe("-c:v wmv2 -q:v 2"),
    "ffv1.mkv": Recipe("-c:v ffv1"),
    "animated.gif": Recipe("-vf split[a][b];[a]palettegen[p];[b][p]paletteuse=dither=none"),
}
"""The rest: more of each kind, and other kinds."""

BASES = {
    "lying.mp4": Recipe(TAGGED.replace("scale=", "transpose=cclock,scale=")),
    "wide-then-small.ts": Recipe(X264),
}
"""What others are made from."""


def make(folder: Path, name: str) -> Path:
    """Make one file of the set in `folder`, if it is not there yet, and what it is made from."""
    path, recipe = folder / name, {**SMALL, **MORE, **BASES}[name]
    if path.exists():
        return path
    ffmpeg = [shutil.which("ffmpeg") or "ffmpeg", "-v", "error", "-y"]
    frames = None
    if recipe.source:
        source = ["-i", str(make(folder, recipe.source))]
    else:
        source = shlex.split(f"-f rawvideo -pix_fmt rgb24 -s {WIDTH}x{HEIGHT} -r {FPS} -i -")
        frames = b"".join(picture(number).tobytes() for number in range(recipe.frames))
    command = [*ffmpeg, *source, *shlex.split(recipe.arguments), str(path)]
    subprocess.run(command, input=frames, check=True, timeout=300)
    return path


def picture(number: int) -> np.ndarray:
    """uint8 [H, W, 3]: the frame of a number."""
    shown = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    shown[: HEIGHT // 2] = np.repeat(np.array(PATCHES, np.uint8), WIDTH // 3, axis=0)
    bits = number >> (BITS - 1 - np.arange(WIDTH) * BITS // WIDTH) & 1
    shown[HEIGHT // 2 :] = 255 * bits[None, :, None]
    return shown


def number_in(shown: np.ndarray) -> int:
    """The number in an upright picture [H, W, 3] of any size."""
    height, width = shown.shape[:2]
    columns = ((np.arange(BITS) + 0.5) * width / BITS).astype(int)
    cells = shown[height * 5 // 8 : height * 7 // 8, columns].mean(axis=(0, 2))
    return sum(int(cell > 127) << (BITS - 1 - n) for n, cell in enumerate(cells))


def patches_in(shown: np.ndarray) -> np.ndarray:
    """The colours of the three patches of a picture [H, W, 3], as float64 [3, 3]."""
    height, width = shown.shape[:2]
    rows = slice(height // 32, height // 8)
    starts = [width * n // 3 for n in range(3)]
    return np.array(
        [shown[rows, x + width // 12 : x + width // 4].mean(axis=(0, 1)) for x in starts]
    )
