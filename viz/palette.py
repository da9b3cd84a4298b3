"""Every colour and what it means, once: for plotly, SVG, burned-in frames and the viewer's CSS.

Hues are Okabe-Ito's, darkened on light ground where a line would have less than 3:1 contrast.
Shares are Cividis on a fixed 0 to 1 scale. Colour is never the only channel: see DASH and MARKER.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Theme = Literal["light", "dark"]

LIGHT = {
    "ground": "#f6f7f9",
    "panel": "#ffffff",
    "raised": "#eef1f5",
    "line": "#d3d9e2",
    "text": "#17202e",
    "muted": "#536074",
    "accent": "#1d4ed8",
    "on_accent": "#ffffff",
    "video": "#0072b2",
    "question": "#c25400",
    "answer": "#007a5a",
    "ffn": "#a8437e",
    "looked": "#17202e",
    "sparse": "#c25400",
    "dense": "#6b7686",
    "warn_ground": "#fff3d6",
    "warn_text": "#6b4300",
}
DARK = {
    "ground": "#0e131b",
    "panel": "#161d28",
    "raised": "#212b3a",
    "line": "#36435a",
    "text": "#e8edf5",
    "muted": "#a3b0c4",
    "accent": "#8fb4ff",
    "on_accent": "#0b1220",
    "video": "#56b4e9",
    "question": "#f0a830",
    "answer": "#2fc69b",
    "ffn": "#e79bc6",
    "looked": "#e8edf5",
    "sparse": "#f0a830",
    "dense": "#8f9db3",
    "warn_ground": "#443305",
    "warn_text": "#ffe2a1",
}
OVERLAY = {
    "kept": "#ffb000",
    "dim": "#080b12",
    "casing": "#000000",
    "edge": "#ffffff",
    "focus": "#35d0ff",
    "hatch": "#ffffff",
    "only_a": "#0072b2",
    "only_b": "#e69f00",
    "stage": "#0a0d13",
    "plain": "#79818d",
    "glow": "#2b4678",
    "on_stage": "#dfe6f1",
}
"""Drawn on or around footage, so the same in both themes."""
DRAWING = {
    "heat_opacity": 0.22,  # of a share's colour over its cube, between contours
    "skipped_opacity": 0.5,  # of `dim` over a token that skips the FFN
    "dim_opacity": 0.74,  # of `dim` over what is dropped
    "difference_opacity": 0.66,  # of a run's colour over what only it keeps
    "hatch_px": 7,  # from line to line
    "letter_px": 15,  # the letter of a run, in the corner of what only it keeps
    "letter_room": 2.2,  # sides of a rectangle that has room for it, in heights of the letter
}
"""What is alike of a drawing in the viewer and in a film: opacities, and lengths in pixels."""

DASH = {
    "video": "solid",
    "question": "dash",
    "answer": "dot",
    "ffn": "dashdot",
    "looked": "longdash",
}
MARKER = {
    "video": "circle",
    "question": "square",
    "answer": "diamond",
    "ffn": "triangle-up",
    "looked": "star",
}

CIVIDIS = (
    "#00224e", "#123570", "#3b496c", "#575d6d", "#707173", "#8a8678",
    "#a59c74", "#c3b369", "#e1cc55", "#fee838",
)  # fmt: skip
"""Anchors of matplotlib's Cividis at equal steps; between them colours are linear in sRGB."""


def colours(theme: Theme) -> dict[str, str]:
    """The named colours of a theme."""
    return DARK if theme == "dark" else LIGHT


def css_variables() -> str:
    """CSS that gives #viewer and .adaspark-page every colour and measure as `--as-NAME`, light and
    dark; the viewer's scripts read them there.
    """
    shared = {**OVERLAY, **DRAWING, "cividis": f"linear-gradient(90deg, {', '.join(CIVIDIS)})"}
    light = _declarations({**LIGHT, **shared})
    dark = _declarations(DARK)
    return (
        f"#viewer, .adaspark-page {{{light}; color-scheme: light}}\n"
        ".dark #viewer, .dark .adaspark-page, .adaspark-page.dark, "
        '[data-theme="dark"] #viewer, [data-theme="dark"] .adaspark-page '
        f"{{{dark}; color-scheme: dark}}\n"
    )


def rgb(colour: str) -> tuple[int, int, int]:
    """(red, green, blue), each 0 to 255, of "#rrggbb"."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def cividis(share: NDArray[np.floating]) -> NDArray[np.uint8]:
    """uint8 [..., 3]: the colour of each share; shares are clipped to [0, 1], NaN counts as 0."""
    anchors = np.array([rgb(colour) for colour in CIVIDIS], np.float64)
    at = np.clip(np.nan_to_num(np.asarray(share, np.float64)), 0, 1)
    steps = np.linspace(0, 1, len(anchors))
    channels = [np.interp(at, steps, anchors[:, i]) for i in range(3)]
    return np.stack(channels, -1).round().astype(np.uint8)


def _declarations(values: Mapping[str, object]) -> str:
    return "; ".join(f"--as-{name.replace('_', '-')}: {value}" for name, value in values.items())
