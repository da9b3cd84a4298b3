"""The page of many runs, opened from the disk: sorted, searched, and its rows lead to reports."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from long import some_of
from playwright.sync_api import Page, expect

from adaspark.inspect.rows import LAYERS, ROWS
from viz.report.index import index_page

pytestmark = pytest.mark.browser
NASTY = "<img src=x onerror=alert(1)>"


def row(number: int, **values: Any) -> dict[str, Any]:
    known = {"video": f"clips/{number}.mp4", "question": "What?", "setting": "sparse"}
    known |= {"answer": f"answer {number}", "attention_density": number / 300}
    known |= {"ffn_density": 0.5, "flops_reduction": 0.4, "report": f"{number}.html"}
    return {**dict.fromkeys(ROWS.names), **known, **values}


@pytest.fixture
def written(tmp_path: Path) -> str:
    rows = [row(number) for number in range(250)]
    rows.append(row(250, answer=None, error=NASTY, attention_density=None, report=None))
    layers = [
        {**dict.fromkeys(LAYERS.names), **{k: each[k] for k in ("video", "question", "setting")}}
        | {"layer": layer, "attention_density": 0.1 * layer, "ffn_density": 0.5}
        for each in rows[:250]
        for layer in range(3)
    ]
    (tmp_path / "0.html").write_text("<!doctype html><title>report</title><h1>Report 0</h1>")
    page = tmp_path / "index.html"
    page.write_text(index_page(rows, layers), "utf-8")
    return page.as_uri()


def test_it_sorts_searches_turns_and_leads_to_reports(
    open_page: Callable[..., Page], written: str
) -> None:
    page = open_page(written, ready="#answers")
    rows = page.locator("#answers tbody tr")
    expect(rows).to_have_count(100)
    page.get_by_role("button", name="Attention density").click()
    expect(rows.first).to_contain_text("answer 0")
    page.get_by_role("button", name="Attention density").click()
    expect(page.locator("th[aria-sort=descending]")).to_have_text("Attention density")
    expect(rows.first).to_contain_text("answer 249")
    page.get_by_role("button", name="Next").click()
    page.get_by_role("button", name="Next").click()
    expect(page.get_by_role("status")).to_have_text("251 rows, page 3 of 3")
    expect(rows.last).to_contain_text(NASTY)  # unknown numbers come last in both directions
    page.get_by_role("searchbox", name="Search").fill("answer 24")
    expect(page.get_by_role("status")).to_have_text("11 rows, page 1 of 1")
    page.get_by_role("searchbox", name="Search").fill("answer 0")
    page.get_by_role("link", name="0.mp4").click()
    expect(page.get_by_role("heading", name="Report 0")).to_be_visible()


@pytest.mark.few
@some_of("width", [390, 1440])
def test_it_is_accessible_and_fits(
    open_page: Callable[..., Page], written: str, width: int
) -> None:
    page = open_page(written, width=width, ready="#answers")
    expect(page.locator("#answers tbody tr")).to_have_count(100)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    found = Axe().run(page).response["violations"]
    assert [(each["id"], each["nodes"][0]["html"]) for each in found] == []
