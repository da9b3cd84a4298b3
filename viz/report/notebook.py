"""The offline page inside a notebook: a frame of its own that shares nothing with the notebook."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from viz.report.page import report

if TYPE_CHECKING:
    from adaspark.trace.trace import Trace

HEIGHT = 760
_DARK = (
    '[data-jp-theme-light="false"]',  # Jupyter
    "body.vscode-dark",
    'html[theme="dark"]',  # Colab
    'html[data-theme="dark"]',
)
"""How notebooks say that they are dark; where none does, the system's preference counts."""


def frame(trace: Trace, *, video_path: str | Path | None = None, height: int = HEIGHT) -> str:
    """HTML of an `<iframe>` that holds the whole report and needs no network.

    Its sandbox lets scripts run, and nothing else: no access to the notebook, no links, no forms.
    """
    page = report(trace, video_path=video_path)
    inside = page.replace("&", "&amp;").replace("'", "&#39;")
    dark = ", ".join(f"{place} .adaspark-frame" for place in _DARK)
    style = f"<style>{dark} {{ color-scheme: dark; }}</style>"
    return (
        f'{style}<iframe class="adaspark-frame" title="AdaSpark run" sandbox="allow-scripts" '
        f'style="width: 100%; height: {height}px; border: 0" loading="lazy" '
        f"srcdoc='{inside}'></iframe>"
    )
