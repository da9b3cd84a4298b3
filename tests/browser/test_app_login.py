"""Logging in, where a server asks for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from app_page import wait_for_state
from playwright.sync_api import Page, expect
from serving import ROOT, served

from app.web.login import hashed

pytestmark = [pytest.mark.browser, pytest.mark.long]


def log_in(page: Page, name: str, password: str) -> None:
    page.get_by_label("username").fill(name)
    page.get_by_label("password").fill(password)
    page.get_by_role("button", name="Login").click()


def test_too_many_wrong_logins_are_told_with_the_wait(
    open_page: Callable[..., Page], tmp_path: Path
) -> None:
    allowed = tmp_path / "allowed"
    allowed.write_text(f"ada:{hashed('right')}\nbob:{hashed('other')}\n")
    script = ROOT / "tests" / "browser" / "fake_app.py"
    switches = {"ADASPARK_WRONG_LOGINS": "2", "ADASPARK_LOGIN_SECONDS": "36000"}
    asked = {"ADASPARK_LOGIN": str(allowed), **switches}
    with served(str(script), str(tmp_path), "0", **asked) as url:
        page = open_page(url, ready="text=Login")
        expect(page.get_by_text("AdaSpark Studio")).to_be_visible()  # whose password is asked for
        log_in(page, "ada", "wrong")
        expect(page.get_by_text("Incorrect credentials")).to_be_visible()
        log_in(page, "bob", "other")
        wait_for_state(page, "ready")
        other = open_page(url, ready="text=Login")
        log_in(other, "ada", "wrong")
        expect(other.get_by_text("Incorrect credentials")).to_be_visible()
        log_in(other, "ada", "right")
        told = other.get_by_role("alert").filter(has_text="Too many wrong logins; try again in 600")
        expect(told).to_be_visible()
        other.goto(f"{url}?lang=zh")
        log_in(other, "ada", "right")
        expect(other.get_by_role("alert")).to_contain_text("请在 600 分钟 后再试")
        for each in (page, other):
            each.close()
            each.errors.clear()  # type: ignore[attr-defined]  # the refusals, and who is closed last
