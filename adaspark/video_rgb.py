"""Decoded frames as RGB pictures, by one path for the model and for the browser's copy."""

from typing import Any

import av.filter
import numpy as np
from numpy.typing import NDArray

from adaspark.video_boxes import Crop
from adaspark.video_colour import ColourReading, Matrix, is_grey
from adaspark.video_hdr import CODE_BITS, sdr_from_hdr

Picture = NDArray[np.uint8]  # [H, W, 3] RGB as stored: neither turned nor stretched
Step = tuple[str, str | None]  # an FFmpeg filter and its arguments

_MATRIX_OPTION = {
    Matrix.BT709: "bt709",
    Matrix.FCC: "fcc",
    Matrix.BT470BG: "bt601",
    Matrix.SMPTE170M: "bt601",
    Matrix.SMPTE240M: "smpte240m",
    Matrix.BT2020: "bt2020",
    Matrix.BT2020_CONSTANT: "bt2020",
}
_EXACT = "bicubic+accurate_rnd+full_chroma_int"
_QUICK = "bicubic"  # within 3 levels: enough where nothing else is done to a picture
# Where alpha is compressed with loss, as in WebM, what was opaque comes back a little less so.
_OPAQUE_AGAIN = r"a=if(gte(val*255\,252*maxval)\,maxval\,val)"


class RgbPictures:
    """Turns the `av.VideoFrame`s of one file into pictures by the file's one reading.

    HDR is tone-mapped to SDR, alpha laid on black, the crop taken away; then `size` (width, height)
    resizes what is left.
    """

    def __init__(
        self, reading: ColourReading, crop: Crop, size: tuple[int, int] | None = None
    ) -> None:
        self._reading, self._crop, self._size = reading, crop, size
        self._graph: Any = None
        self._graph_takes: tuple[int, int, str] | None = None

    def picture(self, frame: Any) -> Picture:
        """Return a frame, whatever its size and format, as RGB."""
        takes = (frame.width, frame.height, frame.format.name)
        if takes != self._graph_takes:
            self._graph = _graph(frame, self._reading, self._steps(frame))
            self._graph_takes = takes
        frame.colorspace, frame.color_range = _tags(self._reading)
        self._graph.push(frame)
        shown = self._graph.pull()
        if not self._reading.is_hdr:
            rgb: Picture = shown.to_ndarray()
            return rgb
        return sdr_from_hdr(_planes(shown), self._reading.transfer, self._reading.primaries)

    def _steps(self, frame: Any) -> list[Step]:
        reading = self._reading
        quick = not (self._size or reading.is_hdr or reading.has_alpha)
        read = [*_how_read(frame.format, reading), f"flags={_QUICK if quick else _EXACT}"]
        steps = _grey_widened(frame.format, reading)
        opaque = f"pix_fmts=gbrp{CODE_BITS}le" if reading.is_hdr else "pix_fmts=rgb24"
        alpha, crop = _on_black(reading), _cropped(self._crop, frame)
        if alpha or crop:
            # Before resizing, which would mix what is hidden into what is seen; and not on thinned
            # chroma, where an edge may lie between pixels.
            steps += [("scale", ":".join(read)), *alpha, ("format", opaque), *crop]
            read = read[-1:]
        size = [] if self._size is None else [f"{self._size[0]}:{self._size[1]}"]
        return [*steps, ("scale", ":".join([*size, *read])), ("format", opaque)]


def _on_black(reading: ColourReading) -> list[Step]:
    if not reading.has_alpha:
        return []
    depth = f"{CODE_BITS}le" if reading.is_hdr else ""
    return [
        ("format", f"pix_fmts=gbrap{depth}"),
        ("lutrgb", _OPAQUE_AGAIN),
        ("premultiply", "inplace=1"),
    ]


def _cropped(crop: Crop, frame: Any) -> list[Step]:
    if crop == Crop() or not crop.fits(frame.width, frame.height):
        return []
    width, height = crop.size(frame.width, frame.height)
    return [("crop", f"{width}:{height}:{crop.left}:{crop.top}:exact=1")]


def _how_read(pixel_format: Any, reading: ColourReading) -> list[str]:
    if reading.matrix == Matrix.RGB:
        return []
    source_range = "pc" if reading.full_range else "tv"
    return [
        f"in_color_matrix={_MATRIX_OPTION[reading.matrix]}",
        f"in_range={source_range}",
        "out_range=pc",
    ]


def _grey_widened(pixel_format: Any, reading: ColourReading) -> list[Step]:
    """Return what spreads grey of limited range, which FFmpeg's `scale` always takes for full."""
    if reading.full_range or not is_grey(pixel_format):
        return []
    unit = 1 << (pixel_format.components[0].bits - 8)
    top = 256 * unit - 1
    return [("lutyuv", f"y=clip((val-{16 * unit})*{top}/{219 * unit}\\,0\\,{top})")]


def _graph(frame: Any, reading: ColourReading, steps: list[Step]) -> Any:
    matrix, colour_range = _tags(reading)
    graph = av.filter.Graph()
    source = graph.add(
        "buffer",
        video_size=f"{frame.width}x{frame.height}",
        pix_fmt=frame.format.name,
        time_base="1/1",
        colorspace=str(matrix),
        range=str(colour_range),
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
