"""Links that open the notebooks in Colab: `python tests/badges.py OWNER` writes them for the GitHub
account that holds the repository. Without an owner there is nothing that they could lead to, so
the notebooks as committed have none, and install the package by its name.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parents[1] / "assets" / "examples"
REPOSITORY = "adaspark-studio"
BY_NAME = f"{REPOSITORY}[notebook]"
IMAGE = "https://colab.research.google.com/assets/colab-badge.svg"
_OWNER = re.compile(r"[A-Za-z0-9](?:-?[A-Za-z0-9]){0,38}")
_BADGE = re.compile(r"\[!\[Open in Colab\].*")


def main(owner: str) -> None:
    """Write the links into every notebook; those of another owner are replaced."""
    if not _OWNER.fullmatch(owner):
        sys.exit(f"'{owner}' is no name of a GitHub account: make badges OWNER=name")
    for path in sorted(EXAMPLES.glob("*.ipynb")):
        notebook = json.loads(path.read_text("utf-8"))
        linked(notebook, path.name, owner)
        path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", "utf-8")


def linked(notebook: dict, name: str, owner: str) -> None:
    """Put the badge under the title, and install from the owner's repository what Colab lacks."""
    repository = f"{owner}/{REPOSITORY}"
    address = f"https://colab.research.google.com/github/{repository}/blob/main"
    badge = f"[![Open in Colab]({IMAGE})]({address}/assets/examples/{name})\n"
    heading, install = (cell["source"] for cell in notebook["cells"][:2])
    if _BADGE.match(heading[2]):
        del heading[2:4]
    heading[2:2] = [badge, "\n"]
    source = f"{BY_NAME} @ git+https://github.com/{repository}"
    install[-1] = re.sub(r'"[^"]*"', json.dumps(source), install[-1])


if __name__ == "__main__":
    main(*sys.argv[1:2] or [""])
