"""The viewer's ES modules as text, and inside one HTML page that asks nobody for anything.

A module at a `data:` address has no folder, so that "./dom.js" means nothing in it: there the
modules know each other by bare names, "viz/dom.js", which an import map turns into addresses.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

STATIC = Path(__file__).parents[1] / "static"
_NEIGHBOUR = re.compile(r'(?m)^((?:import|\}).*) "\./([\w.]+)";$')
_COMMENT = re.compile(r"(?ms)^ *\/\*.*?\*\/\n")
"""Of whole lines: a page that is sent by mail carries none."""
_NAMED = re.compile(r'(?m)^(?:import|\}).* "viz/([\w.]+)";$')
_NEED_NO_ESCAPE = " !$&'()*+,-./:;=?_`{|}~[]^>" + '"'


def sources() -> dict[str, str]:
    """The viewer's modules by file name."""
    return {path.name: path.read_text("utf-8") for path in sorted(STATIC.glob("*.js"))}


def embedded(code: str) -> tuple[str, str]:
    """Script elements that run `code` and hold the modules it needs, and the page's `script-src`
    for them.

    `code` is a module's; it names the viewer's modules "viz/NAME.js". By the policy only these two
    scripts run and what they load: a script that somebody else's text brought in would not, by its
    own code or by an address.
    """
    scripts = (_import_map(needed(code)), _starter(code))
    policy = " ".join(["'strict-dynamic'", *map(_hashed, scripts)])
    return f'<script type="importmap">{scripts[0]}</script>\n<script>{scripts[1]}</script>', policy


def needed(code: str) -> dict[str, str]:
    """The modules that `code` imports, and those that they import, by file name."""
    every, found = sources(), dict[str, str]()
    todo = _NAMED.findall(code)
    while todo:
        name = todo.pop()
        if name not in found:
            found[name] = every[name]
            todo += [other for _, other in _NEIGHBOUR.findall(every[name])]
    return dict(sorted(found.items()))


def _import_map(held: Mapping[str, str]) -> str:
    addresses = {f"viz/{name}": _address(source) for name, source in held.items()}
    return _json({"imports": addresses})


def _starter(code: str) -> str:
    """A script that adds a module script: a policy trusts what a trusted script adds, and lets
    that import by address, which it would not let an element of the page itself.
    """
    attributes = _json({"type": "module", "src": _address(code)})
    return f'document.head.append(Object.assign(document.createElement("script"), {attributes}));'


def _address(source: str) -> str:
    named = _NEIGHBOUR.sub(r'\1 "viz/\2";', _COMMENT.sub("", source))
    return f"data:text/javascript;charset=utf-8,{quote(named, safe=_NEED_NO_ESCAPE)}"


def _hashed(script: str) -> str:
    digest = hashlib.sha256(script.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"


def _json(value: object) -> str:
    """JSON that cannot end its script element."""
    return json.dumps(value).replace("<", "\\u003c")
