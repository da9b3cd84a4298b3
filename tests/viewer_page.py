"""A bare page with one viewer on it, and readings of what it draws."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import Browser, Page

from adaspark.trace.trace import Trace
from viz.data.importance import importance_table
from viz.data.layer_detail import layer_detail
from viz.data.queries import Query, cube_table, query_preview, query_table
from viz.data.scene import FIRST_VIEW_BYTES, scene
from viz.data.statistics import TraceView
from viz.palette import css_variables
from viz.report.modules import embedded
from viz.report.page import viewer_css

MOUNTED = """
import { mount } from "viz/mount.js";
window.viewer = mount(document.getElementById("host"));
"""


def open_viewer(browser: Browser, *, width: int = 900, height: int = 900, **context: Any) -> Page:
    """A page with an empty viewer as `window.viewer`; its console errors are in `page.errors`."""
    page = browser.new_page(viewport={"width": width, "height": height}, **context)
    page.errors = []  # type: ignore[attr-defined]
    page.on("pageerror", lambda error: page.errors.append(str(error)))  # type: ignore[attr-defined]
    page.on("console", lambda line: _note(page, line))
    page.on("dialog", lambda dialog: page.errors.append("dialog"))  # type: ignore[attr-defined]
    page.traces = {}  # type: ignore[attr-defined]
    page.expose_function("answerOf", lambda rev, name, of: _answer(page.traces[rev], name, of))  # type: ignore[attr-defined]
    _fill(page)
    return page


def renew(page: Page) -> None:
    """An empty viewer in a new document, which no script of the last one reaches."""
    page.mouse.move(0, 0)  # in the old document: moved in an empty one, the first leave is not told
    page.goto("about:blank")
    for noted in (page.errors, page.traces):  # type: ignore[attr-defined]
        noted.clear()
    _fill(page)


def _fill(page: Page) -> None:
    body = "body{margin:0;padding:12px;background:#fff} body.dark{background:#0e131b}"
    page.set_content(
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Viewer</title>'
        f"<style>{body}{css_variables()}{viewer_css()}</style></head>"
        f'<body><main id="host"></main>{embedded(MOUNTED)[0]}</body></html>'
    )


def show(
    page: Page, trace: Trace, *, rev: int = 1, clip: Path | None = None, on_demand: bool = False
) -> None:
    """Draw a trace; waits until its clip, if there is one, can be seen.

    `on_demand`: as a large run, whose details come when they are asked for; `asked` of the page
    lists the layers among them.
    """
    url = None
    if clip is not None:
        url = f"data:video/mp4;base64,{base64.b64encode(clip.read_bytes()).decode('ascii')}"
    drawn = scene(trace, video_url=url, most_bytes=0 if on_demand else FIRST_VIEW_BYTES)
    page.traces[rev] = TraceView(trace)  # type: ignore[attr-defined]
    page.evaluate(
        """([scene, rev]) => {
            window.asked = [];
            const source = async ({name, of}) => {
                if (name === "layer.json") asked.push(of.layer);
                return JSON.parse(await answerOf(rev, name, of));
            };
            viewer.setScene(JSON.parse(scene), {rev, source});
        }""",
        [json.dumps(drawn), rev],
    )
    if clip is not None:
        page.wait_for_function("document.querySelector('#viewer video').readyState >= 2")


def snapshot(page: Page) -> dict[str, Any]:
    """`window.adaspark.scene()`."""
    drawn: dict[str, Any] = page.evaluate("adaspark.scene()")
    return drawn


def compare(page: Page, other: Trace, labels: Sequence[str] = ("A", "B")) -> bool:
    """Give the viewer a second run; whether it can be compared."""
    comparable: bool = page.evaluate(
        "([scene, labels]) => viewer.setOther(JSON.parse(scene), ...labels)",
        [json.dumps(scene(other)), list(labels)],
    )
    return comparable


def alphas_at(
    page: Page, places: Sequence[tuple[float, float]], *, grid: tuple[int, int] | None = None
) -> list[int]:
    """Opacity (0 to 255) of the overlay at (row, column) places of the slice's token grid."""
    return [pixel[3] for pixel in pixels_at(page, places, grid=grid)]


def pixels_at(
    page: Page, places: Sequence[tuple[float, float]], *, grid: tuple[int, int] | None = None
) -> list[list[int]]:
    """[red, green, blue, opacity] of the overlay at (row, column) places of the slice's grid."""
    reading = """([places, grid]) => {
        const canvas = document.querySelector('#viewer canvas.overlay');
        const [rows, columns] = grid ?? adaspark.scene().grid.slice(1);
        const copy = new OffscreenCanvas(canvas.width, canvas.height);
        const context = copy.getContext('2d', {willReadFrequently: true});
        context.drawImage(canvas, 0, 0);
        return places.map(([row, column]) => {
            const x = Math.floor(column / columns * canvas.width);
            const y = Math.floor(row / rows * canvas.height);
            return [...context.getImageData(x, y, 1, 1).data];
        });
    }"""
    pixels: list[list[int]] = page.evaluate(reading, [[list(place) for place in places], grid])
    return pixels


def cube_middles(trace: Trace, slice_: int) -> tuple[list[int], list[tuple[float, float]]]:
    """The cubes that cover a slice of the first video, and (row, column) of their middles."""
    covering = [
        (cube, ((r0 + r1) / 2, (c0 + c1) / 2))
        for cube, (video, t0, t1, r0, r1, c0, c1) in enumerate(trace.bounds.tolist())
        if video == 0 and t0 <= slice_ < t1
    ]
    return [cube for cube, _ in covering], [place for _, place in covering]


def surely_kept(share: np.ndarray) -> dict[int, bool]:
    """Whether each cube of a layer counts as kept; cubes too near the threshold are left out."""
    threshold = min(float(share.mean()), 0.5)
    return {c: s > threshold for c, s in enumerate(share.tolist()) if abs(s - threshold) > 0.01}


def _answer(view: TraceView, name: str, of: dict[str, Any]) -> str:
    """What the server's route of this name answers."""
    query = Query(of.get("kind"), of.get("row"), of.get("cube"), of.get("head"))
    answers: dict[str, Callable[[], Any]] = {
        "layer.json": lambda: layer_detail(view, of["layer"]),
        "query.json": lambda: query_table(view, query),
        "preview.json": lambda: query_preview(view, of["layer"], query),
        "cube.json": lambda: cube_table(view, of["cube"]),
        "importance.json": lambda: importance_table(view.trace, of["layer"]),
    }
    return json.dumps(answers[name]())


def _note(page: Page, line: Any) -> None:
    if line.type in ("error", "warning"):
        page.errors.append(line.text)  # type: ignore[attr-defined]


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()
