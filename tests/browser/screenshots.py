"""Pictures of the page: `python -m tests.browser.screenshots FOLDER [URL]`.

Each of `STATES` at each width in light and dark, the overlays, the figures, and `studio.png`, the
README's picture. Without an address the app is started with the bundled model.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from app_page import wait_for_state
from playwright.sync_api import Browser, Page, sync_playwright
from serving import ARGUMENTS, CHROMIUM, running
from states import STATES

WIDTHS = {360: 740, 768: 1024, 1024: 768, 1366: 768, 1440: 900, 1920: 1080}
USUAL = 1440
OVERLAYS = ("Spotlight", "Outline", "Heat", "FFN")


def main(folder: Path, url: str | None = None) -> None:
    """Write the PNGs into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    with running(url) as address, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        for theme in ("light", "dark"):
            for width, height in WIDTHS.items():
                page = _opened(browser, address, width, height, theme)
                page.screenshot(path=folder / f"page-{width}-{theme}.png", full_page=True)
                if width == USUAL:
                    _parts(page, folder, theme)
                for name, bring in STATES.items():
                    bring(page)
                    page.wait_for_timeout(500)
                    page.screenshot(path=folder / f"{name}-{width}-{theme}.png", full_page=True)
                page.close()
        _readme_picture(browser, address, folder)
        browser.close()


def _parts(page: Page, folder: Path, theme: str) -> None:
    for name in OVERLAYS:
        page.get_by_role("button", name=name, exact=True).click()
        page.locator("#viewer").screenshot(path=folder / f"{name.lower()}-{theme}.png")
    for tab in page.locator(".figures [role=tab]").all():
        tab.click()
        page.wait_for_timeout(1500)
        title = tab.inner_text().lower().replace(" ", "-")
        page.locator(".figures").screenshot(path=folder / f"figure-{title}-{theme}.png")


def _readme_picture(browser: Browser, url: str, folder: Path) -> None:
    """What a visitor sees first, sharp: the recorded run where its question chose most sharply."""
    options = {"viewport": {"width": 1440, "height": 1072}, "device_scale_factor": 1.5}
    page = browser.new_page(**options, reduced_motion="reduce")
    page.goto(f"{url}?__theme=light")
    wait_for_state(page, "ready")
    page.wait_for_selector(".status-chip[data-state=ready]")
    page.wait_for_timeout(1500)
    page.screenshot(path=folder / "studio.png")
    page.close()


def _opened(browser: Browser, url: str, width: int, height: int, theme: str) -> Page:
    """The page with its recorded run, the model ready and the figures drawn."""
    page = browser.new_page(viewport={"width": width, "height": height}, reduced_motion="reduce")
    page.goto(f"{url}?__theme={theme}")
    wait_for_state(page, "ready")
    page.wait_for_selector(".status-chip[data-state=ready]")
    page.locator(".figures").scroll_into_view_if_needed()
    page.locator("[role=tabpanel]:not([hidden]) .main-svg").first.wait_for()
    page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
    page.wait_for_timeout(1500)
    return page


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:3])
