"""What lends GPUs to a ZeroGPU Space, in its own process's place: `serving(...)`."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlparse


class Lender(ThreadingHTTPServer):
    """Lends one GPU again and again; `asked` are the seconds of each turn, `paths` all calls."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[float] = []
        self.paths: list[str] = []
        self.has_quota = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Lender

    def do_POST(self) -> None:
        url = urlparse(self.path)
        self.server.paths.append(url.path)
        if url.path == "/schedule":
            self.server.asked.append(float(parse_qs(url.query)["durationSeconds"][0]))
            if self.server.has_quota:
                lent = {"idle": False, "nvidiaIndex": 0, "nvidiaUUID": "x", "allowToken": "t"}
                return self._answer(200, lent)
            return self._answer(429, {"left": 3, "wait": 60})
        self._answer(200, {})

    def _answer(self, status: int, content: Any) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def serving() -> Iterator[Lender]:
    with Lender() as lender:
        threading.Thread(target=lender.serve_forever, daemon=True).start()
        yield lender
        lender.shutdown()
