"""What stands before every request: headers for the browser, and no request that ends in a trace
of the server's own code.
"""

from __future__ import annotations

import logging
import os
import re

from starlette.datastructures import MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.service.queue import disk_sentence

log = logging.getLogger(__name__)
BROKEN = "This request could not be read: send it as the API's page describes."
_ONLY_QUEUED = re.compile(r"/gradio_api/call/")
"""Where a program's request is read and put in a queue: none of it is worked on there."""
_OWN = "'self'"
_HUB = "https://huggingface.co https://*.hf.space"


def security_headers() -> dict[str, str]:
    """The headers of every response.

    Gradio's page needs inline scripts and makes functions of text. Only the Hub may frame the
    page, and only if this server is a Space.
    """
    policy = {
        "default-src": _OWN,
        "script-src": f"{_OWN} 'unsafe-inline' 'unsafe-eval' blob:",
        "style-src": f"{_OWN} 'unsafe-inline'",
        "img-src": f"{_OWN} data: blob:",
        "media-src": f"{_OWN} data: blob:",
        "font-src": f"{_OWN} data:",
        "connect-src": f"{_OWN} blob: data:",
        "worker-src": f"{_OWN} blob:",
        "object-src": "'none'",
        "base-uri": _OWN,
        "form-action": _OWN,
        "frame-ancestors": f"{_OWN} {_HUB}" if os.environ.get("SPACE_ID") else _OWN,
    }
    return {
        "Content-Security-Policy": "; ".join(f"{name} {what}" for name, what in policy.items()),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "same-origin",
        "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
        "Cross-Origin-Opener-Policy": "same-origin-allow-popups",
    }


class Guard:
    """ASGI middleware: adds the headers, and answers a request that fails with one sentence.

    A failure is logged by its kind alone: its text may hold what a visitor sent. That a program
    names an endpoint or a parameter which does not exist is no fault of the server.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._headers = security_headers()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand an HTTP request on."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        has_begun = False

        async def send_guarded(message: Message) -> None:
            nonlocal has_begun
            if message["type"] == "http.response.start":
                has_begun = True
                MutableHeaders(scope=message).update(self._headers)
            await send(message)

        try:
            await self._app(scope, receive, send_guarded)
        except Exception as error:
            is_queued = scope["method"] == "POST" and bool(_ONLY_QUEUED.search(scope["path"]))
            is_theirs = is_queued and _is_of_values(error)
            text = "A request was refused: %s" if is_theirs else "A request failed: %s"
            log.log(logging.INFO if is_theirs else logging.ERROR, text, type(error).__name__)
            if not has_begun:
                disk = disk_sentence(error)
                answer = PlainTextResponse(disk or BROKEN, 507 if disk else 400)
                await answer(scope, receive, send_guarded)


def _is_of_values(error: Exception) -> bool:
    """Whether it is what Gradio raises for values that an endpoint does not take."""
    return isinstance(error, KeyError | TypeError | ValueError)
