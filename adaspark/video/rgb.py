"""Decoded frames in the colours that their file's reading says: RGB for the model, or others."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import av.filter
import numpy as np
from numpy.typing import NDArray

from adaspark.video.boxes import Crop
from adaspark.video.colour import ColourReading, Matrix
from adaspark.video.hdr import CODE_BITS, sdr_from_hdr

Picture = NDArray[np.uint8]  # [H, W, 3] RGB as stored: neither turned nor stretched
Step = tuple[str, str | None]  # an FFmpeg filter and its arguments

EXACT = "flags=bicubic+accurate_rnd+full_chroma_int"
_QUICK = "flags=bicubic"  # within 3 levels: enough where nothing else is done to a picture
MATRIX_OPTION = {
    Matrix.BT709: "bt709",
    Matrix.FCC: "fcc",
    Matrix.BT470BG: "smpte170m",
    Matrix.SMPTE170M: "smpte170m",
    Matrix.SMPTE240M: "smpte240m",
    Matrix.BT2020: "bt2020",
    Matrix.BT2020_CONSTANT: "bt2020",
}
# Where alpha is compressed with loss, as in WebM, what was opaque comes back a little less so.
_OPAQUE_AGAIN = r"a=if(gte(val*255\,252*maxval)\,maxval\,val)"


class SampledPicture(NamedTuple):
    """An upright RGB picture uint8 [H, W, 3], its presentation time, and whether no damage has
    touched it.
    """

    rgb: Picture
    time_secs: float
    is_whole: bool


class FrameGraph:
    """FFmpeg's filters that read the `av.VideoFrame`s of one file, lay alpha on black and crop.

    `scale` are the arguments of the `scale` filter that makes the frames given out, of
    `pixel_format`; the steps of `then` follow. HDR stays HDR.
    """

    def __init__(
        self,
        reading: ColourReading,
        crop: Crop,
        scale: Sequence[str],
        pixel_format: str,
        then: Sequence[Step] = (),
    ) -> None:
        self._reading, self._crop, self._scale = reading, crop, scale
        self._last = [("format", f"pix_fmts={pixel_format}"), *then]
        self._graph: Any = None
        self._takes: tuple[int, int, str] | None = None

    def converted(self, frame: Any) -> Any:
        """Return a frame, whatever its size and format, converted; its tags become the file's."""
        frame.colorspace, frame.color_range = _tags(self._reading)
        takes = (frame.width, frame.height, frame.format.name)
        if takes != self._takes:
            self._graph, self._takes = _graph(frame, self._steps(frame)), takes
        self._graph.push(frame)
        return self._graph.pull()

    def _steps(self, frame: Any) -> list[Step]:
        reading, crop = self._reading, _cropped(self._crop, frame)
        read = _how_read(reading)
        steps = _grey_widened(frame.format, reading)
        if reading.has_alpha or crop:
            # Before resizing, which would mix what is hidden into what is seen; and not on thinned
            # chroma, where an edge may lie between pixels.
            depth = f"{CODE_BITS}le" if reading.is_hdr else ""
            # Not planar where it is quick: FFmpeg 8.1 leaves out columns beyond a multiple of 16.
            quick = not (reading.has_alpha or reading.is_hdr)
            steps += [("scale", ":".join([*read, "out_range=pc", _QUICK if quick else EXACT]))]
            steps += _on_black(depth) if reading.has_alpha else []
            steps += [("format", "pix_fmts=rgb24" if quick else f"pix_fmts=gbrp{depth}"), *crop]
            read = []
        return [*steps, ("scale", ":".join([*self._scale, *read])), *self._last]


class RgbPictures:
    """Turns the `av.VideoFrame`s of one file into SDR pictures by the file's one reading.

    HDR is tone-mapped, alpha laid on black, the crop taken away; then `size` (width, height)
    resizes what is left.
    """

    def __init__(
        self, reading: ColourReading, crop: Crop, size: tuple[int, int] | None = None
    ) -> None:
        self._reading = reading
        scale = ["out_range=pc", EXACT if reading.is_hdr else _QUICK]
        if size is not None:
            scale.insert(0, f"{size[0]}:{size[1]}")
        pixel_format = f"gbrp{CODE_BITS}le" if reading.is_hdr else "rgb24"
        self._graph = FrameGraph(reading, crop, scale, pixel_format)

    def picture(self, frame: Any) -> Picture:
        """Return a frame, whatever its size and format, as RGB."""
        shown = self._graph.converted(frame)
        if self._reading.is_hdr:
            return sdr_from_hdr(_planes(shown), self._reading.transfer, self._reading.primaries)
        rgb: Picture = shown.to_ndarray()
        return rgb


def _how_read(reading: ColourReading) -> list[str]:
    if reading.matrix == Matrix.RGB:
        return []
    source_range = "pc" if reading.full_range else "tv"
    return [f"in_color_matrix={MATRIX_OPTION[reading.matrix]}", f"in_range={source_range}"]


def _grey_widened(pixel_format: Any, reading: ColourReading) -> list[Step]:
    """Return what spreads grey of limited range, which FFmpeg's `scale` always takes for full."""
    if reading.full_range or not reading.is_grey:
        return []
    unit = 1 << (pixel_format.components[0].bits - 8)
    top = 256 * unit - 1
    return [("lutyuv", f"y=clip((val-{16 * unit})*{top}/{219 * unit}\\,0\\,{top})")]


def _on_black(depth: str) -> list[Step]:
    return [
        ("format", f"pix_fmts=gbrap{depth}"),
        ("lutrgb", _OPAQUE_AGAIN),
        ("premultiply", "inplace=1"),
    ]


def _cropped(crop: Crop, frame: Any) -> list[Step]:
    if crop == Crop() or not crop.fits(frame.width, frame.height):
        return []
    width, height = crop.size(frame.width, frame.height)
    return [("crop", f"{width}:{height}:{crop.left}:{crop.top}")]


def _graph(frame: Any, steps: Sequence[Step]) -> Any:
    graph = av.filter.Graph()
    source = graph.add(
        "buffer",
        video_size=f"{frame.width}x{frame.height}",
        pix_fmt=frame.format.name,
        time_base="1/1",
        colorspace=str(int(frame.colorspace)),
        range=str(int(frame.color_range)),
    )
    nodes = [source, *(graph.add(name, arguments) for name, arguments in steps)]
    graph.link_nodes(*nodes, graph.add("buffersink")).configure()
    return graph


def _tags(reading: ColourReading) -> tuple[int, int]:
    return int(reading.matrix), 2 if reading.full_range else 1


def _planes(frame: Any) -> NDArray[np.uint16]:
    """Return a planar GBR frame as R, G, B [3, H, W]."""
    green, blue, red = (
        np.frombuffer(plane, np.uint16).reshape(frame.height, -1)[:, : frame.width]
        for plane in frame.planes
    )
    return np.stack([red, green, blue])
