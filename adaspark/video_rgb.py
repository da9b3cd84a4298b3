"""Decoded frames as RGB pictures, by one path for the model and for the browser's copy."""

from typing import Any

import av.filter
import numpy as np
from numpy.typing import NDArray

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
# Where alpha is compressed with loss, as in WebM, what was opaque comes back a little less so.
_OPAQUE_AGAIN = r"a=if(gte(val*255\,252*maxval)\,maxval\,val)"


class RgbPictures:
    """Turns the `av.VideoFrame`s of one file into pictures by the file's one reading.

    HDR is tone-mapped to SDR, alpha laid on black. `size` (width, height) resizes the stored
    picture; without it, pictures of plain files equal decord's bit for bit.
    """

    def __init__(self, reading: ColourReading, size: tuple[int, int] | None = None) -> None:
        self._reading, self._size = reading, size
        self._graph: Any = None
        self._graph_takes: tuple[int, int, str] | None = None

    def picture(self, frame: Any) -> Picture:
        """Return a frame, whatever its size and format, as RGB."""
        takes = (frame.width, frame.height, frame.format.name)
        if takes != self._graph_takes:
            self._graph = _graph(
                frame, self._reading, _steps(frame.format, self._reading, self._size)
            )
            self._graph_takes = takes
        frame.colorspace, frame.color_range = _tags(self._reading)
        self._graph.push(frame)
        shown = self._graph.pull()
        if not self._reading.is_hdr:
            rgb: Picture = shown.to_ndarray()
            return rgb
        return sdr_from_hdr(_planes(shown), self._reading.transfer, self._reading.primaries)


def _steps(pixel_format: Any, reading: ColourReading, size: tuple[int, int] | None) -> list[Step]:
    depth = f"{CODE_BITS}le" if reading.is_hdr else ""
    opaque = f"gbrp{depth}" if reading.is_hdr else "rgb24"
    scale = [] if size is None else [f"{size[0]}:{size[1]}"]
    exact = [f"flags={_EXACT}"] if size or not reading.is_plain_for_decord else []
    read = ":".join([*_how_read(pixel_format, reading), *exact])
    steps = _grey_widened(pixel_format, reading)
    if reading.has_alpha:
        # Before any resizing, which would mix hidden colours into seen ones.
        steps += [
            ("scale", read),
            ("format", f"pix_fmts=gbrap{depth}"),
            ("lutrgb", _OPAQUE_AGAIN),
            ("premultiply", "inplace=1"),
        ]
        read = ":".join(exact)
    return [*steps, ("scale", ":".join([*scale, read])), ("format", f"pix_fmts={opaque}")]


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
