"""Gradio's scripts and styles are read and compressed once, and browsers keep them for good."""

from __future__ import annotations

from pathlib import Path

import gradio
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from app.web.assets import NAMED_BY_CONTENT, KeptAssets
from app.web.guard import Guard

SCRIPT = "/assets/Index-BtpqUM30.js"


@pytest.fixture
def asked() -> list[str]:
    return []


@pytest.fixture
def client(asked: list[str]) -> TestClient:
    async def answer(request: Request) -> Response:
        asked.append(request.url.path)
        gone = "gone" in request.url.path
        return PlainTextResponse("x" * 5000, 404 if gone else 200)

    kept = [Middleware(each) for each in (Guard, KeptAssets, GZipMiddleware)]
    return TestClient(Starlette(routes=[Route("/{path:path}", answer)], middleware=kept))


def test_a_file_is_made_once_for_each_way_to_compress_it(
    client: TestClient, asked: list[str]
) -> None:
    for encodings, given in (("br;q=0, gzip", "gzip"), ("identity", None), ("gzip, zstd", "gzip")):
        for _ in range(2):
            answer = client.get(SCRIPT, headers={"accept-encoding": encodings})
            assert answer.text == "x" * 5000
            assert answer.headers.get("content-encoding") == given
            assert "immutable" in answer.headers["cache-control"]
            assert answer.headers.get_list("x-content-type-options") == ["nosniff"]
    assert asked == [SCRIPT] * 2


def test_it_is_kept_whole_whatever_part_was_asked_for_first(client: TestClient) -> None:
    assert len(client.get(SCRIPT, headers={"range": "bytes=0-9"}).content) == 5000


@pytest.mark.parametrize("path", ["/assets/gone-BtpqUM30.js", "/assets/logo.svg", "/config", "/"])
def test_nothing_else_is_kept(client: TestClient, asked: list[str], path: str) -> None:
    for _ in range(2):
        assert "immutable" not in client.get(path).headers.get("cache-control", "")
    assert asked == [path] * 2


def test_gradio_names_all_its_scripts_and_styles_by_their_content() -> None:
    folder = Path(gradio.__file__).parent / "templates" / "frontend" / "assets"
    files = [path for path in folder.iterdir() if path.suffix in (".js", ".css")]
    assert len(files) > 50
    assert [
        path.name for path in files if not NAMED_BY_CONTENT.search(f"/assets/{path.name}")
    ] == []
