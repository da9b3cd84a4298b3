"""The page as its visitors know it: by the names of its controls."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from playwright.sync_api import Locator, Page, expect

PATIENCE_MILLIS = 60_000


def rev(page: Page) -> int:
    return int(page.locator("#viewer").get_attribute("data-rev") or 0)


def wait_for_state(page: Page, state: str, *, after_rev: int = -1) -> None:
    """Wait until the viewer is in `state` and shows a later result than `after_rev`."""
    page.wait_for_function(
        """([state, rev]) => {
          const viewer = document.querySelector("#viewer");
          return viewer && viewer.dataset.state === state && Number(viewer.dataset.rev) > rev;
        }""",
        arg=[state, after_rev],
        timeout=PATIENCE_MILLIS,
    )


def watch_run(page: Page) -> None:
    """Note every state, phase and answer that the page goes through from now on."""
    page.evaluate(
        """() => {
          const seen = (window.seen = { states: [], phases: [], answers: [] });
          const viewer = document.querySelector("#viewer");
          const note = () => {
            const now = {
              states: viewer.dataset.state,
              phases: document.querySelector(".phase-text").textContent,
              answers: document.querySelector("#answer").textContent,
            };
            for (const [name, value] of Object.entries(now)) {
              if (seen[name].at(-1) !== value) seen[name].push(value);
            }
          };
          note();
          const changes = { subtree: true, childList: true, characterData: true, attributes: true };
          new MutationObserver(note).observe(document.body, changes);
        }"""
    )


def seen(page: Page, what: str) -> list[str]:
    """The `states`, `phases` or `answers` noted since `watch_run`."""
    noted: list[str] = page.evaluate("what => window.seen[what]", what)
    return noted


def scene(page: Page) -> Any:
    return page.evaluate("window.adaspark.scene()")


def evaluate_in(page: Page, module: str, expression: str) -> Any:
    """The value of an expression in which `page` is one of the app's ES modules, by file name."""
    return page.evaluate(
        f"""async () => {{
          const link = document.querySelector('link[href$="/app/static/page.js"]');
          const page = (await import(link.href)).modules["app/static/{module}"];
          return await ({expression});
        }}"""
    )


def resize(page: Page, width: int, height: int = 800) -> None:
    """Give the window another size, and the page two frames to follow it."""
    page.set_viewport_size({"width": width, "height": height})
    frames = "new Promise((go) => requestAnimationFrame(() => requestAnimationFrame(go)))"
    page.evaluate(f"() => {frames}")


def load_anew(page: Page) -> None:
    """Load the page anew. What the page that is left says of requests cut off is no error."""
    said = list(page.errors)  # type: ignore[attr-defined]
    page.reload(wait_until="commit")
    page.errors[:] = said  # type: ignore[attr-defined]
    wait_for_state(page, "ready")


def question(page: Page) -> Locator:
    return page.get_by_role("textbox", name="Question")


def slider(page: Page, name: str) -> Locator:
    return page.get_by_role("slider", name=name, exact=True)


def number(page: Page, name: str) -> Locator:
    return page.get_by_role("spinbutton", name=name, exact=True)


def ask(page: Page, text: str | None = None) -> None:
    if text is not None:
        question(page).fill(text)
    page.get_by_role("button", name="Ask", exact=True).click()


def upload(page: Page, path: Path) -> None:
    page.get_by_label("Video", exact=True).set_input_files(path)


def expect_error(page: Page, words: str) -> str:
    """Wait for a sentence that holds `words` in the page's alert; returns it."""
    alert = page.get_by_role("alert").filter(has_text=words)
    try:
        expect(alert).to_have_count(1, timeout=PATIENCE_MILLIS)
    except AssertionError as error:  # what the page did instead says why
        state = page.locator("#viewer").get_attribute("data-state")
        error.add_note(f"state {state}, phase {page.locator('.phase-text').text_content()!r}")
        raise
    return alert.inner_text()


def expect_phase(page: Page, words: str) -> None:
    """Wait until the progress strip says so, be it for one frame."""
    page.wait_for_function(
        "words => document.querySelector('.phase-text').textContent.includes(words)",
        arg=words,
        timeout=PATIENCE_MILLIS,
    )


DIALS = ("Top-p attention", "Top-p FFN", "Cube t", "Cube h", "Cube w")
"""What a test may turn on a page that others use after it, by itself or by budget and preset."""
_CLOSED = """() => {
  document.body.classList.remove("dark");
  document.querySelectorAll(".menu-button[aria-expanded=true]").forEach((menu) => menu.click());
  document.querySelector(".figures [role=tab]").click();
  document.activeElement.blur();
  scrollTo(0, 0);
}"""


class SharedPage:
    """A page that many tests have one after the other: to load one takes seconds."""

    def __init__(self, page: Page) -> None:
        """`page` shows the first sample's recorded run, or is about to."""
        self.page = page
        wait_for_state(page, "ready")
        self._asked = question(page).input_value()
        self._view = evaluate_in(page, "run.js", "structuredClone(page.viewer().view)")
        self._dials = {name: self._dial(name).input_value() for name in DIALS}
        self._key = self._run_in_view()

    def look_anew(self) -> None:
        """Size, theme, language, menus, tab and view are as they were when it opened."""
        page = self.page
        page.unroute_all()
        page.errors.clear()  # type: ignore[attr-defined]
        page.set_viewport_size({"width": 1440, "height": 900})
        page.locator("select.language").select_option("en")
        page.wait_for_function("document.documentElement.lang === 'en'")
        page.evaluate(_CLOSED)
        page.mouse.move(0, 0)
        if question(page).input_value() != self._asked:  # it may be off
            question(page).fill(self._asked)
        back = f"""(viewer => {{
          viewer.clock.pause();
          Object.assign(viewer.view, {json.dumps(self._view)});
          viewer.lookFirst();
          viewer.layOut();
        }})(page.viewer())"""
        evaluate_in(page, "run.js", back)
        wait_for_state(page, "ready")

    def start_anew(self) -> None:
        """What runs is stopped, the dials are put back, and the first sample is chosen again."""
        page = self.page
        stop = page.get_by_role("button", name="Stop", exact=True)
        stop.evaluate("button => button.click()")  # off, if nothing runs or a run has just ended
        expect(stop).to_be_disabled(timeout=PATIENCE_MILLIS)
        pinned = page.get_by_role("button", name="Let the pinned run go", include_hidden=True)
        for each in pinned.all():
            each.dispatch_event("click")
        for name, value in self._dials.items():
            if self._dial(name).input_value() != value:
                self._dial(name).fill(value)
                expect(self._dial(name)).to_have_value(value)
        cards = page.locator(".picker .card")
        for card in (cards.nth(1), cards.nth(0)):
            before = rev(page)
            card.click()
            wait_for_state(page, "ready", after_rev=before)
        page.wait_for_function(
            """async (key) => {
              const link = document.querySelector('link[href$="/app/static/page.js"]');
              const { modules } = await import(link.href);
              return modules["app/static/run.js"].runInView().key === key;
            }""",
            arg=self._key,
            timeout=PATIENCE_MILLIS,
        )
        self.look_anew()

    def _dial(self, name: str) -> Locator:
        return (number if name.startswith("Cube") else slider)(self.page, name)

    def _run_in_view(self) -> str:
        key: str = evaluate_in(self.page, "run.js", "page.runInView().key")
        return key
