"""What `trace.show()` gives a notebook draws the viewer in Chromium, dark where that is dark."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from long import some_of
from paths import ASSETS
from playwright.sync_api import Browser, expect

pytestmark = pytest.mark.browser


@some_of("light, theme", [("true", "light"), ("false", "dark")])
def test_the_viewer_is_drawn_in_the_notebook_s_theme(
    chromium: Browser, tmp_path: Path, light: str, theme: str
) -> None:
    notebook = nbformat.read(ASSETS / "examples" / "first_look.ipynb", as_version=4)
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    (html,) = [
        o.data["text/html"] for o in outputs if "<iframe" in o.get("data", {}).get("text/html", "")
    ]
    page_path = tmp_path / "notebook.html"
    body = f'<body data-jp-theme-light="{light}">{html}</body>'
    page_path.write_text(f"<!doctype html><meta charset=utf-8>{body}", "utf-8")
    context = chromium.new_context(color_scheme="null", offline=True)
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
    page.goto(page_path.as_uri())
    inside = page.frame_locator("iframe")
    expect(inside.locator("#viewer")).to_have_attribute("data-state", "ready")
    expect(inside.locator("html")).to_have_attribute("data-theme", theme)
    layer = inside.get_by_role("slider", name="Layer", exact=True)
    layer.fill("3")
    expect(inside.locator("#viewer")).to_have_attribute("data-layer", "3")
    assert errors == []
    context.close()
