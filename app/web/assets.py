"""Gradio's own scripts and styles: compressed once, and kept by browsers for good.

Gradio compresses each of them anew for every visitor and lets no browser keep them, though a file's
name changes whenever what is in it does.
"""

from __future__ import annotations

import re

from cachetools import LRUCache
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

KEPT_BYTES = 2**25
NAMED_BY_CONTENT = re.compile(r"/assets/[\w.-]+-[\w-]{8}\d*\.(?:js|css)$")
_FOR_GOOD = "public, max-age=31536000, immutable"
_ENCODINGS = ("br", "gzip")
"""What Gradio compresses by, the better first."""
Answer = tuple[Message, bytes]


class KeptAssets:
    """ASGI middleware: gives such a file once more as it was given before."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._answers: LRUCache[tuple[str, str], Answer] = LRUCache(
            KEPT_BYTES, getsizeof=lambda answer: len(answer[1])
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand everything else on."""
        is_asset = scope["type"] == "http" and scope["method"] == "GET"
        if not is_asset or not NAMED_BY_CONTENT.search(scope["path"]):
            await self._app(scope, receive, send)
            return
        # Few keys, whatever is asked for: what is kept is bounded by the bytes of bodies alone.
        key = scope["path"], _encoding(Headers(scope=scope))
        start, body = self._answers.get(key) or await self._asked(key, scope, receive)
        # What stands outside adds headers of its own.
        await send({**start, "headers": list(start["headers"])})
        await send({"type": "http.response.body", "body": body})

    async def _asked(self, key: tuple[str, str], scope: Scope, receive: Receive) -> Answer:
        """The whole file as Gradio gives it, compressed as the key says; kept if it is there."""
        start: Message = {}
        parts: list[bytes] = []

        async def hear(message: Message) -> None:
            if message["type"] == "http.response.start":
                start.update(message)
            elif message["type"] == "http.response.body":
                parts.append(message.get("body", b""))

        bare = {**scope, "headers": [(b"accept-encoding", key[1].encode())], "extensions": {}}
        await self._app(bare, receive, hear)
        body = b"".join(parts)
        headers = MutableHeaders(scope=start)
        headers["content-length"] = str(len(body))
        if start["status"] == 200:
            headers["cache-control"] = _FOR_GOOD
            if len(body) <= KEPT_BYTES:
                self._answers[key] = start, body
        return start, body


def _encoding(headers: Headers) -> str:
    """The one that a browser takes; of one that may be refused (`;q=`) nothing is assumed."""
    taken = {part.strip() for part in headers.get("accept-encoding", "").split(",")}
    return next((each for each in _ENCODINGS if each in taken), "identity")
