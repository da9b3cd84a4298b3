"""A program that asks for an answer which is not under way is told so before the stream begins."""

from __future__ import annotations

import re
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

UNKNOWN = "No request of this event_id is under way: send it again; each answer is given once."
_ANSWER = re.compile(r"/gradio_api/call/(?:v2/)?[^/]+/([^/]+)$")


class KnownEvents:
    """ASGI middleware: status 404 for the answer to an event that `is_known` denies.

    Gradio begins to answer with 200 and fails then, which the log says of anybody's wrong address.
    Whom `is_in` denies Gradio itself refuses.
    """

    def __init__(
        self,
        app: ASGIApp,
        is_known: Callable[[str], bool],
        is_in: Callable[[dict[str, str]], bool],
    ) -> None:
        self._app, self._is_known, self._is_in = app, is_known, is_in

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request on."""
        if scope["type"] == "http" and scope["method"] == "GET" and self._is_refused(scope):
            return await JSONResponse({"detail": UNKNOWN}, 404)(scope, receive, send)
        await self._app(scope, receive, send)

    def _is_refused(self, scope: Scope) -> bool:
        asked = _ANSWER.search(scope["path"])
        if asked is None or self._is_known(asked[1]):
            return False
        return self._is_in(Request(scope).cookies)
