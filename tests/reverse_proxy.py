"""A small reverse proxy: serves another server's addresses below a folder of its own."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

_NOT_PASSED_ON = {"connection", "transfer-encoding", "keep-alive"}


@contextmanager
def proxied(url: str, folder: str, headers: Mapping[str, str] | None = None) -> Iterator[str]:
    """The address at which what lies at `url` is served below `folder`, such as "/lab/studio".

    `headers` are added to each request, as a proxy that says who asked does.
    """
    behind = urlsplit(url)

    class Passing(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.0"  # a response ends with its connection

        def _pass(self) -> None:
            if not self.path.startswith(f"{folder}/"):
                return self.send_error(404)
            connection = http.client.HTTPConnection(str(behind.hostname), behind.port)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            given = {k: v for k, v in self.headers.items() if k.lower() not in _NOT_PASSED_ON}
            path = self.path.removeprefix(folder)
            connection.request(self.command, path, body, {**given, **(headers or {})})
            answer = connection.getresponse()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in _NOT_PASSED_ON:
                    self.send_header(name, value)
            self.end_headers()
            try:
                while chunk := answer.read1(2**16):
                    self.wfile.write(chunk)
            except OSError:
                pass  # the browser wants no more
            finally:
                connection.close()

        do_GET = do_POST = do_HEAD = do_OPTIONS = _pass

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Passing)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}{folder}/"
    finally:
        server.shutdown()
        server.server_close()
