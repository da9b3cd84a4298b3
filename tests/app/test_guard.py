"""What stands before the server's requests: headers, sentences for failures, a full disk."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient
from starlette.types import Message, Receive, Scope, Send

from app.web import disk
from app.web.disk import FULL, LOCK, Disk, OwnFolder, UploadQuota, remove_copies
from app.web.forwarded import Forwarded
from app.web.guard import BROKEN, Guard, security_headers
from app.web.server import Studio


def client(*middleware: Middleware) -> TestClient:
    def good(request: Request) -> Response:
        return PlainTextResponse("good")

    def bad(request: Request) -> Response:
        raise ValueError("what a visitor wrote")

    routes = [Route("/good", good), Route("/bad", bad), Route("/a/upload", good, methods=["POST"])]
    return TestClient(Starlette(routes=routes, middleware=middleware))


def test_every_answer_has_the_headers(caplog: pytest.LogCaptureFixture) -> None:
    browser = client(Middleware(Guard))
    for address, status in (("/good", 200), ("/bad", 400), ("/none", 404)):
        answer = browser.get(address)
        assert answer.status_code == status
        assert (
            answer.headers.items() >= {k.lower(): v for k, v in security_headers().items()}.items()
        )
    assert browser.get("/bad").text == BROKEN
    assert "ValueError" in caplog.text and "visitor wrote" not in caplog.text


def test_only_the_hub_frames_a_space(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "hf.space" not in security_headers()["Content-Security-Policy"]
    monkeypatch.setenv("SPACE_ID", "someone/space")
    policy = security_headers()["Content-Security-Policy"]
    assert policy.endswith("frame-ancestors 'self' https://huggingface.co https://*.hf.space")


def test_what_is_no_request_is_handed_on() -> None:
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])

    async def nothing(*_: Any) -> Any: ...

    asyncio.run(Guard(app)({"type": "lifespan"}, nothing, nothing))
    assert seen == ["lifespan"]


def test_an_upload_that_does_not_fit_is_refused_before_it_comes(tmp_path: Path) -> None:
    (tmp_path / "old.mp4").write_bytes(b"x" * 600)
    browser = client(Middleware(UploadQuota, disk=Disk(tmp_path, 1000)))
    assert browser.post("/a/upload", content=b"x" * 300).status_code == 200
    refused = browser.post("/a/upload", content=b"x" * 500)
    assert (refused.status_code, refused.text) == (507, FULL)
    assert browser.get("/good").status_code == 200


def test_an_upload_of_unknown_length_is_taken_as_far_as_the_disk_takes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "_LOOK_AGAIN_SECS", -1.0)  # each look is a new one
    written, sent = tmp_path / "arriving", []

    async def keep(scope: Scope, receive: Receive, send: Send) -> None:
        with written.open("wb", buffering=0) as into:
            while (message := await receive())["more_body"]:
                into.write(message["body"])

    async def chunk() -> Message:
        return {"type": "http.request", "body": b"x" * 600, "more_body": True}

    async def told(message: Message) -> None:
        sent.append(message)

    upload: Scope = {"type": "http", "method": "POST", "path": "/upload", "headers": []}
    asyncio.run(Guard(UploadQuota(keep, Disk(tmp_path, 1000)))(upload, chunk, told))
    assert sent[0]["status"] == 507 and b"disk is full" in sent[1]["body"]
    assert written.stat().st_size == 1200, "the second chunk passes the limit, no third is taken"


def test_a_folder_that_vanishes_under_a_look_is_passed_by(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An upload's folder goes while another's file is looked for, and while all are counted."""
    gone, copy = tmp_path / "a", tmp_path / "b" / "key-1.mp4"
    copy.parent.mkdir()
    copy.write_bytes(b"video")
    usual = os.scandir

    def scandir(path: Any) -> Any:
        if Path(path) == gone:
            gone.rmdir()
        return usual(path)

    monkeypatch.setattr(os, "scandir", scandir)
    gone.mkdir()
    assert Disk(tmp_path, 1000).used_bytes == 5
    assert not gone.exists()
    gone.mkdir()
    remove_copies(tmp_path, "key-1")
    assert not gone.exists() and not copy.exists()


def test_cleaning_goes_on_after_a_failure(caplog: pytest.LogCaptureFixture) -> None:
    """With who left at the same time, and at the next look."""
    looks, left = iter([False, False, True]), iter([["a", "b"], ["c"]])
    cleaned: list[str] = []

    def remove(key: str) -> None:
        cleaned.append(key)
        if key == "a":
            raise OSError("what a visitor called a file")

    studio: Any = SimpleNamespace(
        _over=SimpleNamespace(wait=lambda _: next(looks)),
        _allocator=SimpleNamespace(give_back=lambda ended: None),
        service=SimpleNamespace(runner=SimpleNamespace(ended=0), forget_left=lambda: next(left)),
        _remove=remove,
    )
    Studio._clean(studio)
    assert cleaned == ["a", "b", "c"]
    assert "OSError" in caplog.text and "visitor" not in caplog.text


def test_only_files_that_nobody_uses_are_removed(tmp_path: Path) -> None:
    for name, age in (("old", 7200), ("new", 10)):
        path = tmp_path / "proxies" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"video")
        used = path.stat().st_mtime - age
        os.utime(path, (used, used))
    Disk(tmp_path, 10**9).remove_older(3600, [tmp_path / "proxies"])
    assert [path.name for path in (tmp_path / "proxies").iterdir()] == ["new"]


def test_folders_of_killed_servers_are_removed_and_living_ones_stay(tmp_path: Path) -> None:
    killed = tmp_path / "adaspark-killed"
    killed.mkdir()
    (killed / LOCK).touch()
    (killed / "video.mp4").write_bytes(b"someone's")
    unlike = tmp_path / "adaspark-notes"
    unlike.mkdir()
    living = OwnFolder(tmp_path)
    other = OwnFolder(tmp_path)
    assert not killed.exists() and unlike.exists()
    assert living.path.exists() and other.path.exists()
    living.remove(), other.remove()
    assert list(tmp_path.iterdir()) == [unlike]


@pytest.mark.parametrize(
    "peer, believed",
    [("127.0.0.1", True), ("10.1.2.3", True), ("203.0.113.9", False), ("x", False)],
)
def test_only_a_proxy_is_believed_what_it_says_of_others(peer: str, believed: int) -> None:
    def told(request: Request) -> Response:
        return PlainTextResponse(f"{request.url.scheme} {request.headers.get('x-forwarded-host')}")

    app = Starlette(routes=[Route("/told", told)])
    trusting = Forwarded(app, ("127.0.0.1", "10.0.0.0/8"), "/lab")
    browser = TestClient(trusting, client=(peer, 1))
    headers = {"X-Forwarded-Host": "other.example", "X-Forwarded-Proto": "https"}
    for path in ("/told", "/lab/told"):
        said = browser.get(path, headers=headers).text
        assert said == ("https other.example" if believed else "http None")


@pytest.mark.parametrize(
    ("trusted", "peer", "said", "client"),
    [
        (("10.0.0.0/8",), "10.0.0.1", "198.51.100.7", "198.51.100.7"),
        (("10.0.0.0/8",), "10.0.0.1", "1.1.1.1, 198.51.100.7, 10.0.0.2", "198.51.100.7"),
        (("10.0.0.0/8",), "10.0.0.1", "nobody, [2001:db8::1]:443", "2001:db8::1"),
        (("10.0.0.0/8",), "10.0.0.1", "198.51.100.7:1234, <script>", "198.51.100.7"),
        (("10.0.0.0/8",), "10.0.0.1", "10.0.0.2", "10.0.0.1"),
        (("10.0.0.0/8",), "10.0.0.1", "", "10.0.0.1"),
        (("10.0.0.0/8",), "198.51.100.9", "198.51.100.7", "198.51.100.9"),
        (("*",), "10.0.0.1", "198.51.100.7, 10.9.9.9", "198.51.100.7"),
    ],
)
def test_who_asks_is_whom_the_last_trusted_proxy_was_asked_by(
    trusted: tuple[str, ...], peer: str, said: str, client: str
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse(scope["client"][0])(scope, receive, send)

    browser = TestClient(Forwarded(app, trusted), client=(peer, 1))
    assert browser.get("/", headers={"X-Forwarded-For": said}).text == client
