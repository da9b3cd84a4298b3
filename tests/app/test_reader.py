"""Readers: what decodes an upload may crash or hang, and that costs its visitor one sentence."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from clips import write_clip
from fuzz import fuzz
from paths import ROOT
from waiting import PATIENCE_SECS

from adaspark.errors import UserError
from adaspark.video.clip import DEFAULT_LIMITS, Sampling, read_clip, stream_frames
from app.media.reader.channel import Channel
from app.media.reader.limits import ReaderLimits
from app.media.reader.pool import Reader, Readers
from app.media.reader.uploads import UploadReader

SMALL = Sampling(fps=6, max_frames=12, min_pixels=56 * 56, max_pixels=112 * 112)
GAPS_MILLIS = [0, 40, 90, 1000, 1040, 1500, 1541, 3000]


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Callable[..., UploadReader]]:
    """Makes what reads uploads, with readers of these limits."""
    pools: list[Readers] = []

    def make(**bounds: Any) -> UploadReader:
        folder = tmp_path / "kept"
        folder.mkdir(exist_ok=True)
        pools.append(Readers(ReaderLimits(**bounds)))
        return UploadReader(pools[-1], folder, DEFAULT_LIMITS)

    yield make
    for pool in pools:
        pool.close()


def kept(tmp_path: Path) -> list[str]:
    return [path.suffix for path in (tmp_path / "kept").iterdir()]


@pytest.mark.few(2)
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("turned.mp4", {"turn": 90, "size": (642, 366)}),
        ("b-frames.mp4", {"preset": "medium", "bf": "3"}),
        ("gaps.mkv", {"times_millis": GAPS_MILLIS}),
        ("late.webm", {"codec": "libvpx-vp9", "times_millis": [3000 + t for t in GAPS_MILLIS]}),
    ],
)
def test_frames_are_those_of_this_process_to_the_bit(
    made: Callable[..., UploadReader], name: str, options: dict[str, Any], tmp_path: Path
) -> None:
    upload = made()
    _, copy = upload.prepare(write_clip(tmp_path / name, **options))
    # Also of a file that is no copy: it is turned, late, and of other codecs.
    path = write_clip(tmp_path / "kept" / name, **options)
    for each in (copy, path):
        here = read_clip(each, SMALL)
        chunks = list(stream_frames(each, SMALL, open_video=upload.open_video))
        assert torch.equal(torch.cat([chunk.frames for chunk in chunks]), here.frames)
        assert [time for chunk in chunks for time in chunk.times_secs] == here.times_secs
        assert upload.open_video(each).info == here.info


def strike(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Send every reader a signal as soon as it has its job."""
    begin = Reader.begin

    def struck(reader: Reader, *job: Any, **arguments: Any) -> None:
        os.kill(reader.pid, number)
        begin(reader, *job, **arguments)

    monkeypatch.setattr(Reader, "begin", struck)


@pytest.mark.few(3)
@pytest.mark.parametrize(
    ("number", "words"),
    [
        (signal.SIGSEGV, "broke down on it"),
        (signal.SIGABRT, "broke down on it"),
        (signal.SIGKILL, "3,072 MB of memory"),
        (signal.SIGXCPU, "takes too long"),
        (signal.SIGSTOP, "takes too long"),
    ],
)
def test_a_reader_that_dies_or_hangs_costs_one_sentence(
    made: Callable[..., UploadReader],
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    words: str,
    tmp_path: Path,
) -> None:
    path = write_clip(tmp_path / "clip.mkv")
    bounds = {"silent_secs": 3.0} if number == signal.SIGSTOP else {}  # who hangs is silent
    with monkeypatch.context() as patched:
        strike(patched, number)
        with pytest.raises(UserError, match=rf"^clip\.mkv [^\n]*{words}[^\n]*\.$"):
            made(**bounds).prepare(path)
    assert kept(tmp_path) == []
    assert made().prepare(path)[0].frames == 24


def test_a_reader_that_is_ended_leaves_no_half_file(
    made: Callable[..., UploadReader], tmp_path: Path
) -> None:
    path = write_clip(tmp_path / "clip.avi", frames=60)
    seen: list[list[str]] = []

    def leave(done: int, total: int) -> None:
        seen.append(sorted(kept(tmp_path)))
        raise KeyboardInterrupt

    growing: list[bool] = []
    with pytest.raises(KeyboardInterrupt):
        made().prepare(
            path, on_progress=leave, on_growing=lambda file, _: growing.append(file.exists())
        )
    assert growing == [True] and len(seen) == 1 and ".growing" in seen[0] and kept(tmp_path) == []


@pytest.mark.parametrize(
    ("bounds", "words"),
    # A decoder that gets no memory may only see that it cannot decode.
    [({"memory_mb": 8}, r"memory|damaged|broke down"), ({"file_mb": 0}, r"would pass 0 MB")],
)
def test_what_takes_more_than_it_may_is_refused(
    made: Callable[..., UploadReader], bounds: dict[str, int], words: str, tmp_path: Path
) -> None:
    path = write_clip(tmp_path / "clip.mkv", size=(2048, 1536), frames=4)
    with pytest.raises(UserError, match=words):
        made(**bounds).prepare(path)
    assert kept(tmp_path) == []


CONFINED = """
import os, socket
from app.media.reader.limits import ReaderLimits, confine
confine(ReaderLimits(memory_mb=64, file_mb=1, cpu_secs=1))
def refused(work):
    try: work()
    except (OSError, MemoryError) as error: return type(error).__name__
file = open("much", "wb", buffering=0)
print(
    refused(lambda: socket.socket()),
    refused(lambda: os.execv("/bin/true", ["true"])),
    refused(lambda: os.kill(os.getppid(), 0)),
    refused(lambda: bytearray(2**27)),
    refused(lambda: [open("many", "wb") for _ in [0] * 99 if kept.append(open("many", "wb"))]),
    refused(lambda: [file.write(bytes(2**20)) for _ in "ab"]),
    flush=True,
)
while True: pass
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the limits are Linux's")
def test_a_confined_process_has_no_network_and_no_more_than_its_limits(tmp_path: Path) -> None:
    script = CONFINED.replace("def refused", "kept = []\ndef refused")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECS,
    )
    refused = ["PermissionError"] * 3 + ["MemoryError", "OSError", "OSError"]
    assert (done.stdout.split(), done.stderr) == (refused, "")
    assert done.returncode == -signal.SIGXCPU


@pytest.mark.skipif(not Path("/proc").exists(), reason="looks into /proc")
def test_a_reader_is_told_nothing_of_the_servers_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "a secret")
    reader = Reader(ReaderLimits())
    assert b"a secret" not in Path(f"/proc/{reader.pid}/environ").read_bytes()
    reader.kill()


def test_a_reader_that_died_while_it_waited_is_not_used(tmp_path: Path) -> None:
    pool = Readers()
    pool.start()
    with pool.reader() as first:
        pass
    with pool.reader() as reader:
        reader.kill()
    (spare,) = pool._waiting
    spare._process.kill()
    spare._process.wait()
    with pool.reader() as reader:
        assert reader is not spare and reader.is_alive() and reader.pid != first.pid
    pool.close()


def test_a_reader_ends_with_its_server() -> None:
    reader = Reader(ReaderLimits())
    reader._channel.close()
    assert reader._process.wait(timeout=PATIENCE_SECS) == 0


LONG = "a" * 300 + ".mp4"


@pytest.mark.few(3)
@pytest.mark.parametrize(
    "name",
    ["a\nb.mp4", "\u202egpj.mp4", "\x00.mp4", LONG, "../../etc/passwd", "-i.mp4", "a|b:c.mp4"],
)
def test_a_strange_name_is_no_trouble(
    made: Callable[..., UploadReader], name: str, tmp_path: Path
) -> None:
    clip, path = write_clip(tmp_path / "clip.mp4"), tmp_path / name
    try:
        if ".." not in name:
            clip.replace(path)
    except (OSError, ValueError):
        pass  # no file can have this name
    try:
        info, copy = made().prepare(path)
    except UserError as error:
        assert str(error).endswith(".") and str(error).isprintable() and len(str(error)) < 250
        assert kept(tmp_path) == []
    else:
        assert info.frames == 24 and copy.parent == tmp_path / "kept"


@pytest.mark.parametrize("kind", ["http", "file", "link", "concat"])
def test_a_file_that_names_another_opens_nothing(
    made: Callable[..., UploadReader], kind: str, tmp_path: Path
) -> None:
    secret = write_clip(tmp_path / "secret.mp4")
    path = tmp_path / "list.mp4"
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}/a.ts"
        header = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n"
        if kind == "link":
            path.symlink_to("/etc/passwd")
        elif kind == "concat":
            path.write_text(f"ffconcat version 1.0\nfile '{secret}'\n")
        else:
            path.write_text(f"{header}{address if kind == 'http' else secret}\n#EXT-X-ENDLIST\n")
        with pytest.raises(UserError, match="not a video of a known kind"):
            made().prepare(path)
        server.settimeout(0)
        with pytest.raises(BlockingIOError):
            server.accept()
    assert kept(tmp_path) == []


class Liar(Readers):
    """Readers that say what a test lets them say."""

    def __init__(self, script: str) -> None:
        super().__init__(ReaderLimits(silent_secs=20.0))
        self._script = script

    def _take(self) -> Reader:
        reader = Reader(self._bounds)
        ours, theirs = socket.socketpair()
        reader._process.kill()
        reader._process.wait()
        reader._channel.close()
        reader._channel = Channel(ours)
        theirs.sendall(bytes.fromhex(self._script))
        theirs.close()
        return reader


def said(text: str) -> str:
    return (len(text).to_bytes(4, "big") + text.encode()).hex()


@pytest.mark.parametrize(
    "script",
    [
        "",
        "ffffffff",
        said("[]"),
        said("{"),
        said('{"done": "../../etc/passwd", "info": {}, "copy": {}}'),
        said('{"frames": ["a", null]}'),
        said('{"growing": 3, "info": {"path": "/etc/passwd"}}'),
        said('{"failed": "memory"}'),
    ],
)
def test_what_a_reader_says_is_not_believed(script: str, tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    folder.mkdir()
    pool = Liar(script)
    upload = UploadReader(pool, folder, DEFAULT_LIMITS)
    with pytest.raises(UserError, match=r"broke down|memory"):
        upload.prepare(write_clip(tmp_path / "clip.mp4"), on_growing=lambda *_: None)
    pool.close()


def test_mutated_files_cost_a_sentence_each_and_leave_nothing(tmp_path: Path) -> None:
    found = fuzz(tmp_path / "fuzz", 12, seed=1)
    assert (found.wrong, found.left) == ([], [])
    assert found.outcomes["shown"] and found.outcomes["refused"]
    assert found.outcomes["whole"] == found.seeds


def test_a_message_without_bytes_may_be_answered_by_leaving() -> None:
    """Its reader closes as soon as it has read it: nothing must be sent after it."""
    here, there = socket.socketpair()

    class LeftAfterwards:
        def settimeout(self, secs: float | None) -> None:
            here.settimeout(secs)

        def sendall(self, sent: bytes) -> None:
            here.sendall(sent)
            there.close()

    with here:
        Channel(cast(socket.socket, LeftAfterwards())).send({"kind": "last"})
