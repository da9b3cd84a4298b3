"""The offline report: one HTML page with the working viewer, and the viewer's CSS."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from viz.data.scene import scene
from viz.data.statistics import TraceView
from viz.report import modules, sections
from viz.report.offline import offline_page, static

if TYPE_CHECKING:
    from adaspark.trace.trace import Trace

_VIEWER_STYLES = ("viewer.css", "panels.css")
EMBEDDED_BYTES = 8 * 2**20
"""The largest video that a report carries inside."""
SCENE_BYTES = 8 * 2**20
"""The most that a report spends on a scene: every layer of most runs."""

_MEDIA_TYPES = {".webm": "video/webm", ".mkv": "video/x-matroska"}


def viewer_css() -> str:
    """The viewer's own CSS; it takes its colours from `palette.css_variables()`."""
    return "".join(map(static, _VIEWER_STYLES))


def report(
    trace: Trace | TraceView,
    *,
    video_path: str | Path | None = None,
    other: Trace | None = None,
    labels: tuple[str, str] = ("A", "B"),
) -> str:
    """One HTML page that needs nothing else: the working viewer, charts and tables of a run.

    With `other`, a run of the same video under other settings, the viewer also shows where the
    two differ; `labels` name both. A video of up to 8 MB (upright, playable by browsers) is
    embedded; without one, or with a larger one, the cubes are drawn on plain ground and the page
    says so. The page's own security policy forbids it any request.
    """
    view = TraceView.of(trace)
    url, note = _embedded(video_path)
    scripts, script_src = modules.embedded('import "viz/report.js";')
    body = (
        f'<main>{sections.header(view)}<div id="viewer-host"></div>'
        f"{f'<p>{note}</p>' if note else ''}{sections.cards(view)}"
        f"{_comparison(view, other, labels)}{sections.charts(view)}"
        f"{sections.maps(view.drawn)}{sections.layer_table(view)}{sections.run_table(view)}</main>\n"
        "<footer>Written by AdaSpark Studio. A cube kept by the selector is one that was attended "
        "to; that is not proof that it caused the answer.</footer>\n"
        f"{_data('scene', scene(view, video_url=url, most_bytes=SCENE_BYTES, previews=False))}"
        f"{_compared(other, labels)}"
        f"{scripts}"
    )
    return offline_page(
        view.trace.meta.question or "AdaSpark run",
        body,
        styles=(*_VIEWER_STYLES, "report.css"),
        script_src=script_src,
        sources="img-src data:; media-src data:",
    )


def _compared(other: Trace | None, labels: tuple[str, str]) -> str:
    if other is None:
        return ""
    return _data(
        "other", {"scene": scene(other, most_bytes=SCENE_BYTES, previews=False), "labels": labels}
    )


def _data(name: str, value: Any) -> str:
    return f'<script type="application/json" id="{name}">{_json(value)}</script>\n'


def _comparison(view: TraceView, other: Trace | None, labels: tuple[str, str]) -> str:
    return sections.comparison((view, TraceView(other)), labels) if other else ""


def _embedded(path: str | Path | None) -> tuple[str | None, str]:
    """The video as a data URL, and a sentence where it could not be embedded."""
    if path is None:
        return None, "This report carries no video: the cubes are drawn on plain ground."
    file = Path(path)
    size = file.stat().st_size
    if size > EMBEDDED_BYTES:
        limit = EMBEDDED_BYTES // 2**20
        return (
            None,
            f"The video ({size / 2**20:.0f} MB) is larger than the {limit} MB a report carries.",
        )
    media_type = _MEDIA_TYPES.get(file.suffix.lower(), "video/mp4")
    return f"data:{media_type};base64,{base64.b64encode(file.read_bytes()).decode('ascii')}", ""


def _json(value: Any) -> str:
    """JSON that cannot end its script element."""
    return json.dumps(value, allow_nan=False).replace("<", "\\u003c")
