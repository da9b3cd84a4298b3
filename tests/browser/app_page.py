"""The page as its visitors know it: by the names of its controls."""

from __future__ import annotations

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
          const link = document.querySelector('link[href$="/app/static/{module}"]');
          const page = await import(link.href);
          return await ({expression});
        }}"""
    )


def resize(page: Page, width: int) -> None:
    """Give the window another width, and the page two frames to follow it."""
    page.set_viewport_size({"width": width, "height": 800})
    frames = "new Promise((go) => requestAnimationFrame(() => requestAnimationFrame(go)))"
    page.evaluate(f"() => {frames}")


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
    expect(alert).to_have_count(1, timeout=PATIENCE_MILLIS)
    return alert.inner_text()


def expect_phase(page: Page, words: str) -> None:
    """Wait until the progress strip says so, be it for one frame."""
    page.wait_for_function(
        "words => document.querySelector('.phase-text').textContent.includes(words)",
        arg=words,
        timeout=PATIENCE_MILLIS,
    )
