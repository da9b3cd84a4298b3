"""The programs that tests need beside Python: a Chromium and ffmpeg. `python tests/tools.py` gets
what is missing: Playwright's own browser where it can be fetched, else the system's packages.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

FETCH_SECS = 300


def chromium() -> str | None:
    """The system's browser, or None: then Playwright's own is used."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


def _has_playwrights_own() -> bool:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        return os.path.exists(playwright.chromium.executable_path)  # noqa: PTH110


def _fetched() -> bool:
    command = [sys.executable, "-m", "playwright", "install", "chromium"]
    try:
        return subprocess.run(command, timeout=FETCH_SECS).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def _install(*packages: str) -> None:
    """Debian and its kin; elsewhere the message says what is wanted."""
    if not shutil.which("apt-get"):
        sys.exit(f"Install {' and '.join(packages)} with this system's package manager.")
    root = [] if os.geteuid() == 0 else ["sudo"]
    subprocess.run([*root, "apt-get", "update", "-qq"], check=True)
    install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends"]
    subprocess.run([*root, *install, *packages], check=True, stdout=subprocess.DEVNULL)


def main() -> None:
    """Install what is missing; exits with a sentence where it cannot."""
    if not chromium() and not _has_playwrights_own() and not _fetched():
        _install("chromium", "fonts-liberation")
    if not shutil.which("ffmpeg"):
        _install("ffmpeg")


if __name__ == "__main__":
    main()
