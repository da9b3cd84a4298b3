"""`python tests/js/check.py [--write]`: linter, formatter and types of all JavaScript.

Exits with 1 where one of them finds something. Where Node, or the registry of its packages, is
not there, it says so: nothing was checked then.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
OLDEST_NODE = (20, 19)
FOLDERS = ("viz/static", "app/static", "tests/js")


def main(arguments: list[str]) -> int:
    """Run the tools, with `--write` the formatter alone."""
    if missing := _missing():
        print(f"JavaScript was not checked: {missing}.")
        return 0
    texts = [f"{folder}/*.{end}" for folder in FOLDERS for end in ("js", "mjs", "ts")]
    layout = ["--config", "tests/js/prettier.config.mjs", "--no-error-on-unmatched-pattern"]
    if "--write" in arguments:
        return _run("prettier", *layout, "--write", *texts)
    return max(
        _run("eslint", "--config", "tests/js/eslint.config.mjs", *FOLDERS),
        _run("prettier", *layout, "--check", *texts),
        _run("tsc", "--project", "tests/js"),
    )


def node_version() -> tuple[int, ...] | None:
    """Node's version; None where it is not installed."""
    if shutil.which("node") is None:
        return None
    told = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout
    return tuple(map(int, re.findall(r"\d+", told)))


def _missing() -> str | None:
    """What is missing of what the checks need, once what can be fetched has been."""
    version = node_version()
    if version is None or shutil.which("npm") is None:
        return "Node and npm are not installed"
    if version < OLDEST_NODE:
        return f"Node {'.'.join(map(str, OLDEST_NODE))} or later is needed"
    lock, installed = HERE / "package-lock.json", HERE / "node_modules" / ".lock"
    if installed.is_file() and installed.read_bytes() == lock.read_bytes():
        return None
    if subprocess.run(["npm", "ci", "--silent"], cwd=HERE).returncode:
        return "npm could not fetch the packages of tests/js/package-lock.json"
    shutil.copyfile(lock, installed)
    return None


def _run(tool: str, *arguments: str) -> int:
    command = [str(HERE / "node_modules" / ".bin" / tool), *arguments]
    return int(subprocess.run(command, cwd=ROOT).returncode != 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
