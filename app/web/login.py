"""Who may come in, where that is not everybody: names and hashed passwords in a file.

A line is `NAME:HASH`, as `python -m app.web.login NAME` prints it for a password that is typed in.
The file is the allow-list: who is taken out of it can no longer log in.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import sys
from collections.abc import Callable, Mapping, Sequence
from getpass import getpass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from adaspark.errors import UserError
from app.web.wrong_logins import ADDRESS

_COST = {"n": 2**14, "r": 8, "p": 1}
LOG_IN = "Log in first: reload the page."
_NEEDS_LOGIN = re.compile(r"/studio/(?!alive$|modules/)")
_NOBODY = "scrypt$" + "00" * 16 + "$" + "00" * 32


def login_from(path: Path) -> Callable[[str, str], bool]:
    """Whether a name and a password are those of a line; the file is read at each login.

    Raises UserError if it cannot be read.
    """
    _lines(path)

    def is_allowed(name: str, password: str) -> bool:
        known = _lines(path)
        # An unknown name takes as long as a known one.
        is_right = matches(password, known.get(name, _NOBODY))
        return is_right and name in known

    return is_allowed


class LoggedIn:
    """ASGI middleware: keeps videos and results from those who are not logged in; Gradio does that
    for its own addresses. `is_in` says of a request's cookies whether they are a user's.
    """

    def __init__(self, app: ASGIApp, is_in: Callable[[Mapping[str, str]], bool]) -> None:
        self._app, self._is_in = app, is_in

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request on."""
        if scope["type"] == "http" and scope["method"] == "POST":
            ADDRESS.set((scope.get("client") or ("",))[0])
        is_ours = scope["type"] == "http" and _NEEDS_LOGIN.search(scope["path"])
        if is_ours and not self._is_in(Request(scope).cookies):
            return await PlainTextResponse(LOG_IN, 401)(scope, receive, send)
        await self._app(scope, receive, send)


def hashed(password: str) -> str:
    """A password as a line of the file holds it."""
    salt = secrets.token_bytes(16)
    return f"scrypt${salt.hex()}${_hash(password, salt).hex()}"


def matches(password: str, line: str) -> bool:
    """Whether it is the password of a line."""
    _, salt, expected = line.split("$")
    return hmac.compare_digest(_hash(password, bytes.fromhex(salt)).hex(), expected)


def _hash(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, **_COST)


def _lines(path: Path) -> dict[str, str]:
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"ADASPARK_LOGIN: {path} cannot be read: {error}.") from error
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    found = dict(line.partition(":")[::2] for line in lines)
    wrong = [name for name, line in found.items() if not name or line.count("$") != 2]
    if wrong or not found:
        raise UserError(
            f"ADASPARK_LOGIN: {path} must have lines NAME:HASH; "
            "python -m app.web.login NAME prints one."
        )
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a line for a name; the password is asked for."""
    given = sys.argv[1:] if arguments is None else arguments
    if len(given) != 1 or ":" in given[0]:
        print("usage: python -m app.web.login NAME", file=sys.stderr)
        return 2
    print(f"{given[0]}:{hashed(getpass())}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
