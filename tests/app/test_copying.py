"""What of an upload is copied for browsers, what the copy says of its colours, its safe twin."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from clips import copy_packets, write_clip
from starlette.applications import Starlette
from starlette.testclient import TestClient

from adaspark.errors import UserError
from adaspark.video.clip import DEFAULT_LIMITS, probe
from adaspark.video.probe import scan
from app.media import uploads
from app.media.copies import Copies
from app.media.disk_store import ProxyStore
from app.media.reader.limits import ReaderLimits
from app.media.reader.pool import Readers
from app.media.reader.uploads import UploadReader
from app.media.uploads import make_proxy, make_safe_copy, playable
from app.web.routes import growing as growing_route

BT601 = {"color_primaries": 6, "color_trc": 6, "colorspace": 6, "color_range": 1}
BT709 = {"color_primaries": 1, "color_trc": 1, "colorspace": 1, "color_range": 1}
B_FRAMES = {"preset": "veryfast", "bf": "3", "g": "12"}


def pictures(path: Path) -> list[Any]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray() for frame in container.decode(video=0)]


def tags(path: Path) -> dict[str, int]:
    with av.open(str(path)) as container:
        context = container.streams.video[0].codec_context
        return {name: int(getattr(context, name)) for name in BT601}


def retagged(source: Path, target: Path, stated: dict[str, int]) -> Path:
    """The same packets in a container that states these colours."""
    with av.open(str(source)) as container, av.open(str(target), "w") as output:
        copy = output.add_stream_from_template(container.streams.video[0])
        for name, number in stated.items():
            setattr(copy.codec_context, name, number)
        for packet in container.demux(video=0):
            if packet.size:
                packet.stream = copy
                output.mux(packet)
    return target


@pytest.mark.parametrize("name", ["a.mkv", "a.ts", "a.flv", "a.mov", "a.mp4"])
def test_plain_packets_are_copied_out_of_every_container(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "encode", None)
    source = write_clip(tmp_path / "source.mp4", frames=48, **B_FRAMES)
    path = copy_packets(source, tmp_path / name)
    proxy = make_proxy(probe(path), tmp_path / "proxies")
    same = zip(pictures(source), pictures(proxy), strict=True)
    assert all(np.array_equal(a, b) for a, b in same)
    original, copy = scan(path), scan(proxy)
    assert copy.index.times_secs == pytest.approx(original.index.times_secs, abs=1e-4)
    assert copy.info.duration_secs == pytest.approx(original.info.duration_secs, abs=2e-3)


@pytest.mark.parametrize("stated", [BT601, {**BT709, "colorspace": 6}])
def test_what_the_container_says_of_colours_is_said_by_the_copy(
    stated: dict[str, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "encode", None)
    path = retagged(write_clip(tmp_path / "none.mp4"), tmp_path / "stated.mp4", stated)
    assert tags(path) == stated
    assert tags(make_proxy(probe(path), tmp_path / "proxies")) == stated


def test_a_copy_states_the_colours_of_a_file_that_states_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "encode", None)
    path = write_clip(tmp_path / "none.mp4")
    reading = scan(path).colour
    assert (reading.stated.matrix, reading.stated.primaries) == (None, None)
    said = tags(make_proxy(probe(path), tmp_path / "proxies"))
    assert (said["colorspace"], said["color_primaries"], said["color_range"]) == (6, 1, 1)


@pytest.mark.parametrize(
    "stated", [{"colorspace": 1}, {"colorspace": 5, "color_range": 2}, {**BT601, "color_trc": 16}]
)
def test_colours_that_are_said_in_part_or_that_browsers_read_otherwise_are_encoded(
    stated: dict[str, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "remux", None)
    path = tmp_path / "part.mp4"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=12, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        for name, number in stated.items():
            setattr(stream.codec_context, name, number)
        for number in range(12):
            frame = av.VideoFrame(128, 96, "yuv420p")
            frame.pts = number
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    assert tags(make_proxy(probe(path), tmp_path / "proxies")) == {**BT709, "colorspace": 6}


@pytest.mark.parametrize(("blank", "is_copied"), [((), False), (range(24), True)])
def test_blue_that_chromium_darkens_is_encoded(blank: Any, is_copied: bool, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "none.mp4", blank_frames=blank)
    proxy = make_proxy(probe(retagged(clip, tmp_path / "blue.mp4", BT709)), tmp_path / "proxies")
    assert (not proxy.name.endswith(".safe.mp4")) is is_copied


def test_a_safe_copy_has_the_same_frames_at_the_same_times(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mkv", frames=48, **B_FRAMES)
    proxy = make_proxy(probe(path), tmp_path / "proxies")
    assert playable(proxy) == proxy
    safe = make_safe_copy(proxy)
    assert safe != proxy and playable(proxy) == safe
    assert len(pictures(safe)) == len(pictures(proxy)) == 48
    assert scan(safe).index.times_secs == pytest.approx(scan(proxy).index.times_secs, abs=1e-4)
    assert make_safe_copy(proxy) == safe
    assert make_proxy(probe(path), tmp_path / "proxies") == safe


def test_what_was_encoded_has_no_safer_copy(tmp_path: Path) -> None:
    proxy = make_proxy(probe(write_clip(tmp_path / "a.avi", codec="mpeg4")), tmp_path / "proxies")
    with pytest.raises(UserError, match="another browser"):
        make_safe_copy(proxy)


def test_what_is_encoded_can_be_played_before_it_is_whole(tmp_path: Path) -> None:
    growing: list[Path] = []
    frames: list[int] = []

    def on_progress(done: int, total: int) -> None:
        if done == 300:
            frames.append(len(pictures(growing[0])))

    path = write_clip(tmp_path / "a.avi", codec="mpeg4", frames=360)
    make_proxy(
        probe(path), tmp_path / "proxies", on_progress=on_progress, on_growing=growing.append
    )
    assert 0 < frames[0] <= 300
    assert not growing[0].exists()


@pytest.fixture
def proxies(tmp_path: Path) -> ProxyStore:
    return ProxyStore(tmp_path / "proxies", 2**30)


@pytest.fixture
def copies(proxies: ProxyStore) -> Iterator[Copies]:
    readers = Readers(ReaderLimits())
    reader = UploadReader(readers, proxies.folder, DEFAULT_LIMITS)
    yield Copies(proxies, lambda path: f"file={path}", reader)
    readers.close()


def test_a_safe_copy_is_found_by_the_address_that_failed(
    copies: Copies, proxies: ProxyStore, tmp_path: Path
) -> None:
    proxy = make_proxy(probe(write_clip(tmp_path / "a.mp4")), proxies.folder)
    proxies.keep(proxy)
    safe = copies.safe(f"file={proxy}")
    assert safe == f"file={playable(proxy)}" != f"file={proxy}"
    assert proxies.touch(playable(proxy))
    with pytest.raises(UserError, match="another browser"):
        copies.safe(safe)


@pytest.mark.parametrize("url", ["", "file=/etc/passwd", "https://example.org/a.mp4", "studio/a"])
def test_no_other_file_has_a_safe_copy(copies: Copies, url: str) -> None:
    with pytest.raises(UserError, match="no other copy"):
        copies.safe(url)


def test_an_upload_that_had_to_go_has_none(copies: Copies, proxies: ProxyStore) -> None:
    with pytest.raises(UserError, match="upload it again"):
        copies.safe(f"file={proxies.folder / 'a.mp4'}")


def test_a_preview_is_served_while_it_grows_and_whole_after_that(
    copies: Copies, proxies: ProxyStore
) -> None:
    growing, proxy = proxies.folder / "ab.safe.1-2.growing", proxies.folder / "ab.safe.mp4"
    assert copies.growing(growing.name) is None
    growing.touch()
    assert copies.growing(growing.name) == growing
    proxy.touch()
    growing.unlink()
    assert copies.growing(growing.name) == proxy


def test_a_preview_is_found_at_each_step_that_ends_it(
    copies: Copies, proxies: ProxyStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    growing: list[Path] = []
    found: list[Path | None] = []

    def asked_about(step: Callable[..., Any]) -> Callable[..., Any]:
        """The step of the writer, and a request before it and after it."""

        def held(*given: Any, **options: Any) -> Any:
            found.append(copies.growing(growing[0].name))
            done = step(*given, **options)
            found.append(copies.growing(growing[0].name))
            return done

        return held

    path = write_clip(tmp_path / "a.avi", codec="mpeg4")
    for name in ("replace", "unlink"):
        monkeypatch.setattr(Path, name, asked_about(getattr(Path, name)))
    proxy = make_proxy(probe(path), proxies.folder, on_growing=growing.append)
    assert None not in found and found[0] == growing[0] and found[-1] == proxy


def test_a_preview_that_is_whole_before_it_is_opened_is_served_whole(
    copies: Copies, proxies: ProxyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = proxies.folder / "ab.safe.1-2.growing"
    (proxies.folder / "ab.safe.mp4").write_bytes(b"whole")
    monkeypatch.setattr(copies, "growing", lambda _: gone)  # it was there when it was looked for
    answer = TestClient(Starlette(routes=[growing_route(copies)])).get("/studio/growing/ab")
    assert (answer.status_code, answer.content) == (200, b"whole")


@pytest.mark.parametrize("name", ["ab.mp4", "../ab.growing", "..", "/etc/passwd"])
def test_nothing_else_is_served_as_a_preview(
    copies: Copies, proxies: ProxyStore, name: str
) -> None:
    (proxies.folder / "ab.mp4").touch()
    (proxies.folder.parent / "ab.growing").touch()
    assert copies.growing(name) is None
