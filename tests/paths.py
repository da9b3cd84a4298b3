"""Where the repository lies, asked in one place by the tests."""

from pathlib import Path

TESTS = Path(__file__).parent
ROOT = TESTS.parent
ASSETS = ROOT / "assets"
