"""An upload that breaks off half-way leaves no file, and nothing that counts."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from browser.fake_app import KEPT
from browser.serving import served
from clips import write_clip
from paths import ROOT
from waiting import until

FAKE_APP = ROOT / "tests" / "browser" / "fake_app.py"
UPLOAD = "gradio_api/upload"
BOUNDARY = "half-of-it"
HALF = 2**20


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("samples")


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    with served(str(FAKE_APP), str(folder), "0") as address:
        yield address


def files(folder: Path) -> dict[str, int]:
    """What lies where uploads arrive, with its bytes."""
    found = (path for path in (folder / KEPT).glob("*/uploads/**/*") if path.is_file())
    return {path.name: path.stat().st_size for path in found}


def used_bytes(url: str) -> float:
    """What the server counts against its quota, at most a second ago."""
    lines = httpx.get(f"{url}metrics").text.splitlines()
    return next(float(each.split()[-1]) for each in lines if each.startswith("adaspark_disk_b"))


def begun(url: str, *, part: str = "files", length: int = 4 * HALF) -> socket.socket:
    """A connection on which half of an upload was sent."""
    parts = urlsplit(url)
    head = (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{part}"; filename="a.mp4"\r\n\r\n'
    ).encode()
    request = (
        f"POST {parts.path}{UPLOAD} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
        f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n"
        f"Content-Length: {length}\r\n\r\n"
    ).encode()
    opened = socket.create_connection((str(parts.hostname), parts.port or 80))
    opened.sendall(request + head + b"x" * HALF)
    return opened


def test_who_leaves_in_mid_upload_leaves_no_file(url: str, folder: Path) -> None:
    for _ in range(3):
        connection = begun(url)
        assert until(lambda: sum(files(folder).values()) > HALF // 2), "half of it has arrived"
        connection.close()
        assert until(lambda: not files(folder)), files(folder)
    assert until(lambda: used_bytes(url) < HALF // 2)


def test_an_upload_that_ends_in_its_middle_leaves_no_file(url: str, folder: Path) -> None:
    """All bytes that were promised came, and the last part has no end."""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\n'
    kind = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    for body in (head.encode() + b"x" * HALF, head.encode().replace(b"files", b"others") + b"x"):
        httpx.post(url + UPLOAD, content=body, headers=kind)
        assert until(lambda: not files(folder)), files(folder)


def test_an_upload_that_arrives_stays(url: str, folder: Path, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "mine.mp4")
    with clip.open("rb") as opened:
        sent = httpx.post(url + UPLOAD, files={"files": ("mine.mp4", opened)})
    (where,) = sent.json()
    assert files(folder) == {"mine.mp4": clip.stat().st_size} and Path(where).name == "mine.mp4"
