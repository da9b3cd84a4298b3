"""The browser's side of viz as text: the viewer's script and styles."""

from __future__ import annotations

import json
from pathlib import Path

from viz.palette import CIVIDIS, OVERLAY

_STATIC = Path(__file__).parent / "static"
_SCRIPTS = ("data.js", "draw.js", "clock.js", "dom.js", "render.js", "viewer.js")


def viewer_script() -> str:
    """The viewer as one classic script; it defines `window.AdaSparkViewer` and no other global.

    Use: `const viewer = AdaSparkViewer.mount(element); viewer.show(scene, {rev, state})`.
    """
    colours = json.dumps({**OVERLAY, "cividis": CIVIDIS})
    parts = [(_STATIC / name).read_text("utf-8") for name in _SCRIPTS]
    return f'(() => {{\n"use strict";\nconst PALETTE = {colours};\n{"".join(parts)}}})();\n'


def viewer_css() -> str:
    """The viewer's own CSS; it takes its colours from `palette.css_variables()`."""
    return (_STATIC / "viewer.css").read_text("utf-8")
