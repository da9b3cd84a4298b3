"""Who a request comes from, and that a page's session is used by its own visitor alone."""

from __future__ import annotations

import json
import os
import re
import secrets
import threading
from collections.abc import Callable
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from cachetools import LRUCache
from starlette.datastructures import MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "adaspark-visitor"
API = "/gradio_api/"
ANOTHERS = "This page belongs to another visitor; reload it."
CLOSED = "This server has no such address."
TOO_LARGE = "This request is larger than {:,} bytes; send files to /gradio_api/upload."
_MAX_BODY_BYTES = 2**22
_MAX_SESSIONS = 2**16
_ID = re.compile(r"[A-Za-z0-9_-]{22}")
# What the page and programs need of Gradio: it has more, such as a proxy, and fetches addresses.
_OPEN = {
    *("api", "app_id", "call", "cancel", "file", "heartbeat", "info", "login_check", "mcp"),
    *("openapi.json", "queue", "reset", "run", "startup-events", "theme.css", "token", "upload"),
    "user",
}


def visitor_of(cookies: Any, session_id: str) -> str:
    """Who the session of a page belongs to; a program has no cookie: its session is its own."""
    found = str(cookies.get(COOKIE, ""))
    return found if _ID.fullmatch(found) else session_id


class Visitors:
    """ASGI middleware: gives each browser a cookie, ties a session to the first who uses it, and
    closes those of Gradio's addresses that nothing here needs.

    Files are served by path only if one of their name lies in `exports`: the names are unguessable.
    `seen` is told of each visitor with a cookie.
    """

    def __init__(self, app: ASGIApp, exports: Path, seen: Callable[[str], None]) -> None:
        self._app, self._exports, self._seen = app, exports, seen
        self._owners: LRUCache[str, str] = LRUCache(_MAX_SESSIONS)
        self._lock = threading.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request on, unless it uses another's session."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        visitor = visitor_of(_cookies(scope), "")
        path = _path(scope)
        if visitor:
            self._seen(visitor)
        elif path in ("", "/") and scope["method"] == "GET":
            send = _with_cookie(send, is_https=scope["scheme"] == "https")
        if not path.startswith(API):
            return await self._app(scope, receive, send)
        if not self._is_open(path.removeprefix(API)):
            return await PlainTextResponse(CLOSED, 404)(scope, receive, send)
        body = b""
        if _has_json(scope):
            body = await _body(receive)
            if len(body) > _MAX_BODY_BYTES:
                text = TOO_LARGE.format(_MAX_BODY_BYTES)
                return await PlainTextResponse(text, 413)(scope, receive, send)
            receive = _again(body, receive)
        for session in _sessions(scope, path, body):
            if not self._may_use(visitor, session):
                return await PlainTextResponse(ANOTHERS, 403)(scope, receive, send)
        await self._app(scope, receive, send)

    def _may_use(self, visitor: str, session: str) -> bool:
        with self._lock:
            return self._owners.setdefault(session, visitor) == visitor

    def _is_open(self, path: str) -> bool:
        name, _, file = path.partition("=")
        if name == "file" and file:
            return (self._exports / Path(file).name).is_file()  # Gradio serves a copy of it
        first = path.partition("/")[0]
        return first in _OPEN and first != "file"


def _path(scope: Scope) -> str:
    """The address below the page's."""
    return str(scope["path"]).removeprefix(scope.get("root_path", "").rstrip("/"))


def _cookies(scope: Scope) -> dict[str, str]:
    given = dict(scope["headers"]).get(b"cookie", b"").decode("latin-1")
    try:
        return {name: morsel.value for name, morsel in SimpleCookie(given).items()}
    except CookieError:
        return {}


def _with_cookie(send: Send, *, is_https: bool) -> Send:
    """Adds a new visitor's cookie to a response. A Space's page lies in a frame of the Hub's."""
    kind = "SameSite=None; Secure; Partitioned" if os.environ.get("SPACE_ID") else "SameSite=Lax"
    safe = "; Secure" if is_https and "Secure" not in kind else ""
    cookie = f"{COOKIE}={secrets.token_urlsafe(16)}; Path=/; HttpOnly; {kind}{safe}"

    async def send_with_cookie(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).append("set-cookie", cookie)
        await send(message)

    return send_with_cookie


def _has_json(scope: Scope) -> bool:
    kind = dict(scope["headers"]).get(b"content-type", b"")
    is_mcp = _path(scope).startswith(f"{API}mcp")  # its messages hold whole videos
    return scope["method"] == "POST" and b"multipart" not in kind and not is_mcp


async def _body(receive: Receive) -> bytes:
    """The body of a request, or the beginning of one that is too large."""
    body = b""
    while len(body) <= _MAX_BODY_BYTES:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    return body


def _again(body: bytes, receive: Receive) -> Receive:
    """Receives a body that was read, and then whatever comes."""
    whole: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_again() -> Message:
        return whole.pop() if whole else await receive()

    return receive_again


def _sessions(scope: Scope, path: str, body: bytes) -> list[str]:
    """The sessions that a request names: in its address, its query or its body."""
    found = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("session_hash", [])
    if path.startswith(f"{API}heartbeat/"):
        found.append(path.rstrip("/").rpartition("/")[2])
    try:
        given = json.loads(body) if body else None
    except (ValueError, RecursionError):
        given = None  # Gradio says so itself
    if isinstance(given, dict) and isinstance(given.get("session_hash"), str):
        found.append(given["session_hash"])
    return found
