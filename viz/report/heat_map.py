"""A table of shares as a small picture, on the palette's fixed scale."""

from __future__ import annotations

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from viz.palette import cividis
from viz.report.markup import tag


def heat_map(values: NDArray[np.floating], label: str) -> str:
    """An `<img>` of float [rows, columns], a pixel each; `label` is what it shows, in words."""
    file = io.BytesIO()
    Image.fromarray(cividis(values)).save(file, "PNG", optimize=True)
    url = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode("ascii")
    return tag("img", src=url, alt=label).removesuffix("</img>")
