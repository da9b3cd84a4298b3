"""A server that speaks as much of the Hugging Face hub's protocol as a checkpoint takes."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

COMMITS = {"main": "a" * 40, "v2": "b" * 40}
_ALL = tuple(COMMITS.values())


class FakeHub:
    """Repositories by name, each a folder; `log` has the path of every request.

    `gated` names repositories that want a login; `cut` names files whose connection breaks off in
    the middle.
    """

    def __init__(self) -> None:
        self.repositories: dict[str, Path] = {}
        self.gated: set[str] = set()
        self.cut: set[str] = set()
        self.log: list[str] = []

    def folder(self, repo: str) -> Path | None:
        return self.repositories.get(repo)


@contextmanager
def fake_hub(monkeypatch: pytest.MonkeyPatch, cache: Path) -> Iterator[FakeHub]:
    """Run the server, with the hub's client pointed at it and at an empty cache."""
    from huggingface_hub import constants

    hub = FakeHub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(hub))
    address = f"http://127.0.0.1:{server.server_port}"
    template = address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(hub: FakeHub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def do_GET(self) -> None:
            self._answer(with_body=True)

        def _answer(self, *, with_body: bool) -> None:
            path = unquote(urlsplit(self.path).path)
            hub.log.append(path)
            parts = path.strip("/").split("/")
            repo = "/".join(parts[2:4] if parts[0] == "api" else parts[:2])
            folder = hub.folder(repo)
            if repo in hub.gated:
                return self._fail(403, "GatedRepo", "Access to this model is restricted.")
            if folder is None:
                return self._fail(404, "RepoNotFound", "Repository not found")
            revision = parts[5] if parts[0] == "api" and len(parts) > 5 else parts[3]
            commit = COMMITS.get(revision, revision if revision in _ALL else None)
            if parts[0] != "api":
                return self._file(folder, "/".join(parts[4:]), commit, with_body=with_body)
            if commit is None and len(parts) > 5:
                return self._fail(404, "RevisionNotFound", "Revision not found")
            if parts[4:5] == ["tree"]:
                return self._json(_tree(folder))
            names = [{"rfilename": path.name} for path in _files(folder)]
            sha = commit or COMMITS["main"]
            return self._json({"id": repo, "modelId": repo, "sha": sha, "siblings": names})

        def _file(self, folder: Path, name: str, commit: str | None, *, with_body: bool) -> None:
            place = folder / name
            if commit is None or not place.is_file():
                return self._fail(404, "EntryNotFound", "Entry not found")
            content = place.read_bytes()
            self.send_response(200)
            self.send_header("X-Repo-Commit", commit)
            self.send_header("ETag", f'"{hashlib.sha1(content).hexdigest()}"')
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if with_body and name in hub.cut:
                self.wfile.write(content[: len(content) // 2])
                self.connection.close()
            elif with_body:
                self.wfile.write(content)

        def _json(self, values: Any) -> None:
            content = json.dumps(values).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def _fail(self, status: int, code: str, message: str) -> None:
            self.send_response(status)
            self.send_header("X-Error-Code", code)
            self.send_header("X-Error-Message", message)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    return Handler


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file())


def _tree(folder: Path) -> list[dict[str, Any]]:
    return [
        {
            "type": "file",
            "path": path.name,
            "size": path.stat().st_size,
            "oid": hashlib.sha1(path.read_bytes()).hexdigest(),
        }
        for path in _files(folder)
    ]
