"""ES modules joined into one: a browser asks once for what it would else ask for ninety times.

Each module keeps a scope of its own and the lines it was written in, so that an error names the
function and reads as in the repository. What the modules may be written as is little (named
imports and exports of declarations, each statement at the start of its line, no circle); anything
else raises ValueError instead of meaning something else.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping

_IMPORT = re.compile(r'^import \{([^}]*)\} from "(\.[^"]+)";$', re.M)
_EXPORT = re.compile(r"^export (?=(?:async function|function|class|const) (\w+))", re.M)
_LATER = re.compile(r'\bawait import\("(\.[^"]+)"\)')
_LEFT = re.compile(r"^(?:import|export)\b.*", re.M)


def joined(entry: str, sources: Mapping[str, str]) -> str:
    """The module at path `entry` with all that it imports in it; `sources` by their paths.

    It exports what the entry does, and `modules`: what each exports, by its path.
    """
    order = imported(entry, sources)
    names = {path: f"module{number}" for number, path in enumerate(order)}
    parts = [_scoped(path, sources[path], names) for path in order]
    listed = "".join(f'  "{path}": {name},\n' for path, name in names.items())
    exported = ", ".join(_EXPORT.findall(sources[entry]))
    ends = [f"export const modules = {{\n{listed}}};\n"]
    if exported:
        ends.append(f"export const {{ {exported} }} = {names[entry]};\n")
    return "\n".join((*parts, *ends))


def imported(entry: str, sources: Mapping[str, str]) -> list[str]:
    """The paths of a module and of all that it imports, each after those that it imports itself."""
    order: list[str] = []

    def visit(path: str, above: tuple[str, ...]) -> None:
        if path in above:
            raise ValueError(f"Modules import each other in a circle: {' -> '.join(above)}.")
        if path not in order:
            for _, address in _IMPORT.findall(sources[path]):
                visit(_path(path, address), (*above, path))
            order.append(path)

    visit(entry, ())
    return order


def imported_later(path: str, source: str) -> list[str]:
    """The paths of the modules that a module asks for only when it needs them."""
    return [_path(path, address) for address in _LATER.findall(source)]


def _path(path: str, address: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(path), address))


def _scoped(path: str, source: str, names: Mapping[str, str]) -> str:
    """A module as a function that is called once and gives what the module exports."""

    def bound(found: re.Match[str]) -> str:
        members = found[1].replace(" as ", ": ")
        return f"const {{{members}}} = {names[_path(path, found[2])]};"

    body = _EXPORT.sub("", _IMPORT.sub(bound, source))
    if left := _LEFT.search(body):
        raise ValueError(f"{path} has a statement that cannot be joined: {left.group()}")
    exported = ", ".join(_EXPORT.findall(source))
    return (
        f"/* {path} */\nconst {names[path]} = (() => {{\n{body}return {{ {exported} }};\n}})();\n"
    )
