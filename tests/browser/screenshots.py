"""Pictures of the page: `python -m tests.browser.screenshots FOLDER [URL]`.

Each width in light and dark with an answer, the four overlays, and the figures. Without an
address the app is started with the bundled model; the README's pictures come from here.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from app_page import scene, slider, wait_for_state
from playwright.sync_api import Browser, Page, sync_playwright
from serving import ARGUMENTS, CHROMIUM, running

WIDTHS = {390: 844, 768: 1024, 1440: 900}
OVERLAYS = ("Spotlight", "Outline", "Heat", "FFN")
TABS = ("Entropy", "Density by layer", "Selection maps", "FFN masks", "FLOPs and time", "Table")


def main(folder: Path, url: str | None = None) -> None:
    """Write the PNGs into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    with running(url) as address, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        for theme in ("light", "dark"):
            for width, height in WIDTHS.items():
                page = _opened(browser, address, width, height, theme)
                page.screenshot(path=folder / f"page-{width}-{theme}.png", full_page=True)
                if width == max(WIDTHS):
                    _parts(page, folder, theme)
                page.close()
        browser.close()


def _parts(page: Page, folder: Path, theme: str) -> None:
    for name in OVERLAYS:
        page.get_by_role("button", name=name, exact=True).click()
        page.locator("#viewer").screenshot(path=folder / f"{name.lower()}-{theme}.png")
    for name in TABS:
        page.get_by_role("tab", name=name).click()
        page.wait_for_timeout(1500)
        title = name.lower().replace(" ", "-")
        page.locator(".figures").screenshot(path=folder / f"figure-{title}-{theme}.png")


def _opened(browser: Browser, url: str, width: int, height: int, theme: str) -> Page:
    """The page where its last layer looks hardest, the figures drawn."""
    page = browser.new_page(viewport={"width": width, "height": height}, reduced_motion="reduce")
    page.goto(f"{url}?__theme={theme}")
    page.wait_for_selector("#viewer")
    wait_for_state(page, "ready", after_rev=0)
    drawn = scene(page)
    slider(page, "Layer").fill(str(len(drawn["kept"]) - 1))
    slider(page, "Seek").fill(str(_hardest_look_secs(drawn)))
    page.get_by_role("tab", name="Entropy").scroll_into_view_if_needed()
    page.get_by_text(f"layer {len(drawn['kept']) - 1}").last.wait_for()
    page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
    page.wait_for_timeout(1500)
    return page


def _hardest_look_secs(drawn: Any) -> float:
    """A time in the cube that most of the question's words chose in the last layer."""
    shares = drawn["kept_by_kind"]["question"][-1]
    cube = drawn["cubes"][shares.index(max(shares))]
    return float(drawn["frame_times"][(cube["t0"] + cube["t1"]) // 2][0])


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:3])
