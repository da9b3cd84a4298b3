"""Pictures that FFmpeg does not read as a video: a folder or list of images, an animated WebP.

They become `av.VideoFrame`s, upright, in RGB, alpha laid on black, all of the first one's size.
"""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from adaspark.errors import UserError
from adaspark.video.boxes import announced_bytes
from adaspark.video.decode import Shown
from adaspark.video.file import cut_off, shown_name
from adaspark.video.index import FrameIndex
from adaspark.video.limits import Limits

Source = str | Path | Sequence[str | Path]
"""A video file, a folder or pattern of images, or a list of them."""
_IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".avif")
_MILLIS = 1000
# A frame of no stated length lasts as long as browsers show it.
_UNSTATED_MILLIS, _SHORTEST_STATED_MILLIS = 100, 11
_FRAME_CHUNK, _DURATION_AT = b"ANMF", 12


@dataclass(frozen=True)
class ImageReader:
    """The images of `paths`, one a frame."""

    paths: tuple[Path, ...]
    size: tuple[int, int]  # width, height

    def frames(self, requested: Sequence[int]) -> Iterator[Shown]:
        """Yield the images of these numbers."""
        for number in requested:
            with _opened(self.paths[number]) as image:
                yield Shown(_frame(_fitted(image, self.size)), is_whole=True)

    def numbered(self) -> Iterator[tuple[int, Any]]:
        """Yield every image with its number."""
        yield from enumerate(shown.frame for shown in self.frames(range(len(self.paths))))


@dataclass(frozen=True)
class WebpReader:
    """The frames of one animated WebP."""

    path: Path
    size: tuple[int, int]

    def frames(self, requested: Sequence[int]) -> Iterator[Shown]:
        """Yield the frames of these numbers, decoding on from one to the next."""
        with _opened(self.path) as image:
            for number in requested:
                image.seek(number)
                yield Shown(_frame(_fitted(image, self.size)), is_whole=True)

    def numbered(self) -> Iterator[tuple[int, Any]]:
        """Yield every frame with its number."""
        with _opened(self.path) as image:
            count = getattr(image, "n_frames", 1)
        yield from enumerate(shown.frame for shown in self.frames(range(count)))


def image_paths(source: Source) -> tuple[Path, ...]:
    """Return the images of a folder, a list or a pattern ("shots/*.png"); () for one file.

    Those of a folder or pattern come in the order in which people count: 2 before 10.
    """
    if not isinstance(source, str | Path):
        if not source:
            raise UserError("The list of images is empty: give at least one.")
        return tuple(Path(path).absolute() for path in source)
    path = Path(source).absolute()
    if _is_folder(path):
        found = [p for p in path.iterdir() if _is_image(p)]
        what = "is a folder without images"
    elif "*" in path.name and not os.path.lexists(path):
        found = [p for p in path.parent.glob(path.name) if _is_image(p)]
        what = "fits no image"
    else:
        return ()
    if not found:
        raise UserError(f"{shown_name(path)} {what}: give a video file, or PNG or JPEG images.")
    return tuple(sorted(found, key=_natural))


def read_images(
    paths: Sequence[Path], fps: float, limits: Limits
) -> tuple[ImageReader, FrameIndex, str, tuple[str, ...]]:
    """Check images and return their reader, index, format and warnings."""
    if len(paths) > limits.max_frames:
        raise UserError(f"There are more than {limits.max_frames:,} images: give fewer.")
    sizes = []
    for path in paths:
        with _opened(path) as image:
            sizes.append(_upright_size(image))
            kind = str(image.format).lower()
            check_image_pixels(image.size, path, limits)
    others = sum(size != sizes[0] for size in sizes)
    warning = (
        f"{others:,} of {len(paths):,} images have another size than the first and are fitted "
        f"into its {sizes[0][0]} x {sizes[0][1]} pixels."
    )
    count = len(paths)
    times_secs = np.arange(count) / fps
    index = _still_index(times_secs, np.arange(count), count / fps)
    reader = ImageReader(tuple(path.absolute() for path in paths), sizes[0])
    return reader, index, kind, (warning,) if others else ()


def read_webp(path: Path, limits: Limits) -> tuple[WebpReader, FrameIndex]:
    """Check an animated WebP and return its reader and index."""
    share = path.stat().st_size / (announced_bytes(path) or 1)
    if share < 1:
        raise cut_off(shown_name(path), share)
    with _opened(path) as image:
        size = image.size
        frames = getattr(image, "n_frames", 1)
    check_image_pixels(size, path, limits)
    durations = _webp_durations(path)[:frames]
    ends = np.cumsum(durations)
    starts = ends - durations
    index = _still_index(starts / _MILLIS, starts, float(ends[-1]) / _MILLIS)
    return WebpReader(path, size), index


def is_animated_webp(path: Path) -> bool:
    """Tell whether a WebP has more than one frame."""
    return len(_webp_durations(path)) > 0


def check_image_pixels(size: tuple[int, int], path: Path, limits: Limits) -> None:
    """Refuse an image that is larger than the limit before it is decoded."""
    if size[0] * size[1] > limits.max_pixels:
        raise UserError(
            f"{shown_name(path)} is {size[0]} x {size[1]} pixels and the limit is "
            f"{limits.max_pixels:,} pixels a frame: scale it down."
        )


def _still_index(times_secs: Any, stamps: Any, duration_secs: float) -> FrameIndex:
    every = np.arange(len(times_secs))
    pts = np.asarray(stamps, np.int64)
    return FrameIndex(
        np.asarray(times_secs, np.float64),
        pts,
        every,
        pts,
        duration_secs,
        has_pts=True,
        hides_frames=False,
    )


def _webp_durations(path: Path) -> list[int]:
    """Return the milliseconds of each frame, from the heads of a WebP's chunks."""
    found = []
    with path.open("rb") as file:
        file.seek(12)
        while len(head := file.read(8)) == 8:
            size = int.from_bytes(head[4:], "little")
            if head[:4] == _FRAME_CHUNK:
                inside = file.read(16)
                millis = int.from_bytes(inside[_DURATION_AT : _DURATION_AT + 3], "little")
                found.append(millis if millis >= _SHORTEST_STATED_MILLIS else _UNSTATED_MILLIS)
                file.seek(-len(inside), 1)
            file.seek(size + size % 2, 1)
    return found


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    try:
        with Image.open(path) as image:
            yield image
    except UserError:
        raise
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, EOFError) as error:
        raise UserError(f"{shown_name(path)} is not an image that can be read.") from error
    except Image.DecompressionBombError as error:
        raise UserError(f"{shown_name(path)} has too many pixels: scale it down.") from error


def _fitted(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    upright = _on_black(ImageOps.exif_transpose(image))
    return upright if upright.size == size else ImageOps.pad(upright, size, color=(0, 0, 0))


def _on_black(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16 bits, which `convert` would cut off at 255
        image = Image.fromarray((np.asarray(image, np.uint32) >> 8).astype(np.uint8))
    if not image.has_transparency_data:
        return image.convert("RGB")
    clear = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", clear.size, (0, 0, 0, 255)), clear).convert(
        "RGB"
    )


def _upright_size(image: Image.Image) -> tuple[int, int]:
    width, height = image.size
    sideways = image.getexif().get(0x0112, 1) >= 5
    return (height, width) if sideways else (width, height)


def _frame(image: Image.Image) -> Any:
    return av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # such as a name that is too long
        return False


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in _IMAGE_SUFFIXES and not path.name.startswith(".")


def _natural(path: Path) -> list[tuple[int, int | str]]:
    parts = re.split(r"(\d+)", path.name)
    return [(0, int(part)) if part.isdecimal() else (1, part.lower()) for part in parts]
