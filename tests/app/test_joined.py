"""Modules joined into one do what they do apart."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from app.page.joined import imported, imported_later, joined
from app.page.scripts import ENTRY, files
from tests.js.check import node_version

needs_node = pytest.mark.skipif(node_version() is None, reason="Node is not installed")

SOURCES = {
    "app/page.js": """/* The entry. */

import { add as plus, Counter } from "../viz/maths.js";
import {
  FIRST,
  later,
} from "./texts.js";

const own = new Counter();
export function told() {
  own.count();
  return [plus(FIRST.length, own.now), shared()];
}

function shared() {
  return "the entry's own";
}

export async function more() {
  return (await import("./later.js")).WORD + (await later());
}
""",
    "app/texts.js": """import { add } from "../viz/maths.js";

export const FIRST = "abc";
export async function later() {
  return add(1, shared());
}

function shared() {
  return 1;
}
""",
    "viz/maths.js": """export function add(a, b) {
  return a + b;
}

export class Counter {
  now = 0;
  count() {
    this.now += 1;
  }
}
""",
    "app/later.js": """export const WORD = "later";
""",
}
REFUSED = [
    'import whole from "./b.js";\n',
    'import "./b.js";\n',
    "export default 1;\n",
    "export let changes = 1;\n",
    'export { a } from "./b.js";\n',
]


def asked(folder: Path, script: str) -> Any:
    """What a script in a folder prints, read as JSON."""
    (folder / "asks.mjs").write_text(script, "utf-8")
    done = subprocess.run(
        ["node", "asks.mjs"], cwd=folder, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def written(folder: Path, sources: Mapping[str, str]) -> None:
    (folder / "package.json").write_text('{"type": "module"}', "utf-8")
    for path, source in sources.items():
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(source, "utf-8")


def test_a_module_comes_after_those_that_it_imports() -> None:
    assert imported("app/page.js", SOURCES) == ["viz/maths.js", "app/texts.js", "app/page.js"]
    assert imported_later("app/page.js", SOURCES["app/page.js"]) == ["app/later.js"]


@needs_node
@pytest.mark.parametrize("is_joined", [False, True])
def test_joined_modules_do_what_they_do_apart(tmp_path: Path, is_joined: bool) -> None:
    entry = {"app/page.js": joined("app/page.js", SOURCES), "app/later.js": SOURCES["app/later.js"]}
    written(tmp_path, entry if is_joined else SOURCES)
    assert asked(
        tmp_path,
        """import { told, more } from "./app/page.js";
        console.log(JSON.stringify([told(), told(), await more()]));""",
    ) == [[4, "the entry's own"], [5, "the entry's own"], "later2"]


@needs_node
def test_a_joined_module_names_its_parts(tmp_path: Path) -> None:
    written(tmp_path, {"app/page.js": joined("app/page.js", SOURCES)})
    assert asked(
        tmp_path,
        """import { modules } from "./app/page.js";
        console.log(JSON.stringify([Object.keys(modules), modules["viz/maths.js"].add(1, 2)]));""",
    ) == [["viz/maths.js", "app/texts.js", "app/page.js"], 3]


@needs_node
def test_the_page_s_own_script_can_be_read(tmp_path: Path) -> None:
    script = tmp_path / "page.mjs"
    script.write_text(joined(ENTRY, files()), "utf-8")
    done = subprocess.run(["node", "--check", script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("line", REFUSED)
def test_what_cannot_be_joined_is_refused_by_name(line: str) -> None:
    with pytest.raises(ValueError, match=r"a\.js has a statement that cannot be joined: "):
        joined("a.js", {"a.js": line, "b.js": ""})


def test_a_circle_is_refused() -> None:
    sources = {
        "a.js": 'import { b } from "./b.js";\n',
        "b.js": 'import { a } from "./a.js";\nexport const b = 1;\n',
    }
    with pytest.raises(ValueError, match=r"in a circle: a\.js -> b\.js"):
        imported("a.js", sources)
