"""How fast the page lands: `python -m tests.browser.landing [--loads N] [URL ...]`.

Each address is visited anew N times, one after the other in turn, so that a machine that is busy
for a while is so for all of them. A visit is over when the first sample's recorded run is drawn
over its video, ready to be used. Medians are printed. Without an address the app is started with
the bundled model. Times are those of this machine, in headless Chromium on the same processors.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections import defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from app_page import wait_for_state
from playwright.sync_api import Browser, sync_playwright
from serving import ARGUMENTS, CHROMIUM, running

MAIN_THREAD = {
    "TaskDuration": "main thread, s",
    "ScriptDuration": "of it scripts, s",
    "LayoutDuration": "of it layout, s",
    "RecalcStyleDuration": "of it styles, s",
}
"""What Chromium counts of a page's main thread, in seconds of a processor: waiting for one that
others use is not among them.
"""


def visit(browser: Browser, url: str) -> dict[str, float]:
    """What one new visitor's first load took."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    counted = context.new_cdp_session(page)
    counted.send("Performance.enable", {"timeDomain": "threadTicks"})
    page.goto(url)
    wait_for_state(page, "ready")
    ready = page.evaluate("performance.now()") / 1000
    metrics = {
        each["name"]: each["value"] for each in counted.send("Performance.getMetrics")["metrics"]
    }
    context.close()
    return {
        "landed, s": ready,
        **{told: metrics[name] for name, told in MAIN_THREAD.items()},
        "requests": len(asked),
        "of our scripts": sum("/studio/modules/" in each for each in asked),
    }


def main(urls: list[str], loads: int) -> None:
    """Measure and print."""
    taken: dict[str, list[dict[str, float]]] = defaultdict(list)
    with running(None if not urls else urls[0]) as first, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        addresses = urls or [first]
        for url in addresses:
            visit(browser, url)  # neither the server's first visit nor the browser's
        for _ in range(loads):
            for url in addresses:
                taken[url].append(visit(browser, url))
        browser.close()
    for url in addresses:
        print(url)
        for name in taken[url][0]:
            values = sorted(each[name] for each in taken[url])
            print(
                f"  {name:18}{statistics.median(values):8.2f}"
                f"   ({values[0]:.2f} to {values[-1]:.2f}, {loads} loads)"
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("urls", nargs="*")
    parser.add_argument("--loads", type=int, default=7)
    given = parser.parse_args()
    main(given.urls, given.loads)
