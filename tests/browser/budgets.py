"""The page's budgets, measured: `python -m tests.browser.budgets [URL]`.

Prints a table and exits with 1 where one is passed. Without an address the app is started with the
bundled model. Times are those of this machine, in headless Chromium on the same processors.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from app_page import evaluate_in, slider, wait_for_state
from playwright.sync_api import Browser, Page, sync_playwright
from serving import ARGUMENTS, CHROMIUM, running

RUN_FILE = """async (name, query) => {
    const { runInView } = page;
    const asked = new URLSearchParams(query);
    return (await (await fetch(`studio/${runInView().key}/${name}?${asked}`)).blob()).size / 1000;
}"""


@dataclass(frozen=True)
class Budget:
    """A figure that must not be passed, its unit, and how it is measured."""

    name: str
    most: float
    unit: str
    measure: Callable[[Page], float]


def first_view_kilobytes(page: Page) -> float:
    return float(evaluate_in(page, "run.js", f"({RUN_FILE})('scene.json', {{}})"))


def layer_kilobytes(page: Page) -> float:
    """The largest layer as it would be fetched on demand."""
    sizes = f"adaspark.scene().kept.map((_, layer) => ({RUN_FILE})('layer.json', {{layer}}))"
    return float(evaluate_in(page, "run.js", f"Promise.all({sizes}).then((s) => Math.max(...s))"))


def hover_millis(page: Page) -> float:
    """From a pointer's move over the picture to its new drawing; the drawing is synchronous."""
    return page.evaluate("""() => {
        const stage = document.querySelector("#viewer .stage"), box = stage.getBoundingClientRect();
        const times = [];
        for (let i = 0; i < 60; i++) {
            const place = {clientX: box.left + box.width * ((i * 7) % 60) / 60,
                           clientY: box.top + box.height * i / 60, bubbles: true};
            const start = performance.now();
            stage.dispatchEvent(new PointerEvent("pointermove", place));
            times.push(performance.now() - start);
        }
        return times.sort((a, b) => a - b)[Math.floor(times.length * 0.95)];
    }""")


def preview_millis(page: Page) -> float:
    """From a threshold to its preview, drawn; the median of many thresholds."""
    timed = """(() => {
        const viewer = page.viewer(), times = [];
        for (let i = 0; i < 20; i++) {
            const start = performance.now();
            viewer.preview({attn_top_p: 0.4 + i / 50, ffn_top_p: 0.3 + i / 40});
            times.push(performance.now() - start);
        }
        viewer.preview(null);
        return times.sort((a, b) => a - b)[10];
    })()"""
    return float(evaluate_in(page, "run.js", timed))


def stack_share(page: Page) -> float:
    """A redraw of the 3-D stack against the rest of a redraw, while the pointer moves."""
    timed = """(() => {
        const viewer = page.viewer();
        const redraws = (spatial) => {
            viewer.set({spatial});
            const times = [];
            for (let i = 0; i < 60; i++) {
                viewer.view.hovered = viewer.data.cubes[(i * 7) % viewer.data.cubes.length].index;
                const start = performance.now();
                viewer.draw();
                times.push(performance.now() - start);
            }
            viewer.view.hovered = null;
            return times.sort((a, b) => a - b)[30];
        };
        const [flat, both] = [redraws(false), redraws(true)];
        return (both - flat) / flat;
    })()"""
    return float(evaluate_in(page, "run.js", timed))


def query_kilobytes(page: Page) -> float:
    """The largest of what is fetched of one query or cube of a large run."""
    asked = "{kind: 'question'}, {row: 5}, {kind: 'video'}"
    sizes = f"[{asked}].map((of) => ({RUN_FILE})('query.json', of))"
    return float(evaluate_in(page, "run.js", f"Promise.all({sizes}).then((s) => Math.max(...s))"))


def slider_seconds(page: Page, moves: int = 9) -> float:
    """From a key on the slider to the exact pictures; the median of several moves."""
    dial = slider(page, "Top-p attention")
    dial.focus()
    page.evaluate("""() => {
        window.pressed = window.drawn = 0;
        addEventListener("keydown", () => { window.pressed = performance.now(); }, true);
        const viewer = document.querySelector("#viewer");
        new MutationObserver(() => { window.drawn = performance.now(); })
            .observe(viewer, {attributeFilter: ["data-rev"]});
    }""")
    times = []
    for _ in range(moves):
        page.keyboard.press("ArrowLeft")
        page.wait_for_function("window.drawn > window.pressed")
        times.append(page.evaluate("window.drawn - window.pressed") / 1000)
        page.wait_for_timeout(400)
    return statistics.median(times)


def first_paint_seconds(browser: Browser, url: str, visits: int = 5) -> float:
    """From a visit to the recorded run drawn over its video; the median of several visitors."""
    times = []
    for _ in range(visits):
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.goto(url)
        wait_for_state(page, "ready")
        times.append(page.evaluate("performance.now()") / 1000)
        page.close()
    return statistics.median(times)


BUDGETS = (
    Budget("first view", 300, "kB", first_view_kilobytes),
    Budget("one layer on demand", 64, "kB", layer_kilobytes),
    Budget("one query on demand", 64, "kB", query_kilobytes),
    Budget("3-D against the rest", 2, "x", stack_share),
    Budget("hover to drawn, 95 of 100", 16, "ms", hover_millis),
    Budget("dial to preview, median", 50, "ms", preview_millis),
    Budget("dial to exact pictures, median", 1, "s", slider_seconds),
)


def main(url: str | None = None) -> int:
    """Measure and print; 1 where a budget is passed."""
    with running(url) as address, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.goto(address)
        wait_for_state(page, "ready")
        page.wait_for_selector(".status-chip[data-state=ready]")
        page.wait_for_timeout(3000)  # the server's own first run, which measures the machine
        rows = [(b.name, b.measure(page), b.most, b.unit) for b in BUDGETS]
        page.close()
        rows.append(("first paint, median", first_paint_seconds(browser, address), 2.5, "s"))
        browser.close()
    print(f"{'':34}{'measured':>12}{'budget':>12}")
    for name, value, most, unit in rows:
        told = "" if value <= most else "  over budget"
        print(f"{name:34}{value:>9.2f} {unit:2}{most:>9g} {unit:2}{told}")
    return int(any(value > most for _, value, most, _ in rows))


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:2]))
