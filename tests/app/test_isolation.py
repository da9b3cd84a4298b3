"""One visitor never fetches what is another's: over HTTP, with all that a stranger could know."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from browser.serving import served
from clips import write_clip
from paths import ROOT
from tab import API, Tab
from waiting import until

from app.web.visitors import ANOTHERS, CLOSED

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")
FAKE_APP = ROOT / "tests" / "browser" / "fake_app.py"


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Iterator[str]:
    """A server that forgets who has left at once."""
    folder = str(tmp_path_factory.mktemp("samples"))
    switches = {"ADASPARK_CACHE_DIR": str(cache), "ADASPARK_LEFT_SECONDS": "1"}
    with served(str(FAKE_APP), folder, "0", **switches) as address:
        yield address


@pytest.fixture(scope="module")
def patient_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server that remembers who has no page open for the usual while."""
    with served(str(FAKE_APP), str(tmp_path_factory.mktemp("samples")), "0") as address:
        yield address


@pytest.fixture
def open_tab(url: str) -> Iterator[Callable[..., Tab]]:
    tabs: list[Tab] = []

    def opened(browser: httpx.Client | None = None) -> Tab:
        tabs.append(Tab(url, browser=browser))
        tabs[-1].call("greet")
        return tabs[-1]

    yield opened
    for tab in tabs:
        with tab:
            pass


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_clip(tmp_path / "clip.mp4", frames=8)


def upload(tab: Tab, clip: Path) -> dict[str, Any]:
    """The card of a clip, of bytes that no other file has."""
    mark = secrets.token_bytes(16)
    box = (24).to_bytes(4, "big") + b"free" + mark
    path = tab.upload(clip, "private.mp4", clip.read_bytes() + box)
    card: dict[str, Any] = tab.call("upload", path=path, name="private.mp4", pick=1)
    assert card["name"] == "private.mp4", card
    return card


def ask(tab: Tab, question: str) -> dict[str, Any]:
    run: dict[str, Any] = tab.call("ask", [question, *tab.values("ask")[1:]], run=1)
    assert run["state"] == "done", run
    return run


@pytest.mark.parametrize("method, path", [("GET", "queue/data"), ("GET", "heartbeat/{session}")])
def test_anothers_stream_is_not_heard(open_tab: Callable[..., Tab], method: str, path: str) -> None:
    victim, thief = open_tab(), open_tab()
    address = f"{victim.url}{API}/{path}".format(session=victim.session)
    query = {"session_hash": victim.session} if "{" not in path else {}
    answer = thief.browser.request(method, address, params=query)
    assert (answer.status_code, answer.text) == (403, ANOTHERS)
    with httpx.Client() as nobody:
        assert nobody.request(method, address, params=query).status_code == 403


@pytest.mark.parametrize("path", ["queue/join", "cancel", "run/again", "call/ask", "reset"])
def test_a_replayed_session_takes_no_events(
    open_tab: Callable[..., Tab], clip: Path, path: str
) -> None:
    """With it, "my last upload" would be the victim's."""
    victim, thief = open_tab(), open_tab()
    upload(victim, clip)
    body = {"session_hash": victim.session, "fn_index": 7, "event_id": "x", "data": []}
    answer = thief.browser.post(f"{victim.url}{API}/{path}", json=body)
    assert (answer.status_code, answer.text) == (403, ANOTHERS)
    thief.session = victim.session
    with pytest.raises(httpx.HTTPStatusError, match="403"):
        thief.call("again")
    assert victim.call("again")["name"] == "private.mp4"


def test_a_second_page_of_the_same_browser_is_the_same_visitors(
    open_tab: Callable[..., Tab],
) -> None:
    first = open_tab()
    second = open_tab(first.browser)
    second.session = first.session
    assert second.call("sample", name="02_tall")["sample"] == "02_tall"


def test_a_visitor_may_be_faster_than_the_page_opens(patient_url: str, clip: Path) -> None:
    """A file that is chosen before the page has asked for its first clip is not given up for it."""
    with Tab(patient_url) as tab:
        upload(tab, clip)
        assert "url" not in tab.call("greet")
        assert tab.call("describe")["name"] == "private.mp4"


def test_what_a_visitor_has_read_answers_that_visitor_alone(
    open_tab: Callable[..., Tab], clip: Path
) -> None:
    """Of the same video: one's follow-up is quick, the other's first question is not."""
    one, other = open_tab(), open_tab()
    content = clip.read_bytes() + b"\0\0\0\x0cfreesame"
    for tab in (one, other):
        path = tab.upload(clip, "same.mp4", content)
        tab.call("upload", path=path, name="same.mp4", pick=1)
    first, again = ask(one, "what?"), ask(one, "why?")
    assert "cached_tokens" not in first["summary"] and again["summary"]["cached_tokens"] > 0
    assert "cached_tokens" not in ask(other, "why?")["summary"]


def test_an_upload_is_served_by_no_path(open_tab: Callable[..., Tab], clip: Path) -> None:
    tab = open_tab()
    path = tab.upload(clip, "private.mp4")
    for way in ("file=", "file/"):
        answer = tab.get(f"{API}/{way}{path}")
        assert (answer.status_code, answer.text) == (404, CLOSED)
    folder = Path(path).parents[2]
    for trick in ("exports/../uploads/", "exports%2f..%2fuploads/", "exports", "exports/", ""):
        assert tab.get(f"{API}/file={folder}/{trick}").status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        "file=https://example.com/video.mp4",
        "file=http://127.0.0.1:9/video.mp4",
        "file=//example.com/video.mp4",
        "file=ftp://example.com/video.mp4",
        "proxy=https://someone.hf.space/file",
        "deep_link?session_hash=x",
        "upload_progress?upload_id=x",
        "stream/x/1/1/playlist.m3u8",
        "custom_component/x/client/component/index.js",
        "component_server",
        "dev/reload",
        "run-history/records",
        "vibe-code",
        "process_recording",
    ],
)
def test_what_gradio_offers_beyond_this_page_is_closed(url: str, path: str) -> None:
    answer = httpx.get(f"{url}{API}/{path}")
    assert (answer.status_code, answer.text) == (404, CLOSED)
    assert "example.com" not in answer.headers.get("location", "")


def test_guesses_find_nothing(open_tab: Callable[..., Tab], clip: Path) -> None:
    tab = open_tab()
    upload(tab, clip)
    key = ask(tab, "what?")["key"]
    assert tab.get(f"studio/{key}/scene.json").status_code == 200
    for guess in (key[:-1], key[::-1], key.swapcase(), "..", "%2e%2e", "*", "", " "):
        for name in ("scene.json", "trace.npz", "report.html", "overlay.mp4"):
            assert tab.get(f"studio/{guess}/{name}").status_code in (400, 404)
    for guess in ("", "*", "..", "visitor"):
        assert tab.get(f"studio/growing/{guess}").status_code == 404
    for guess in ("*", "visitor", "0" * 36):
        assert tab.get(f"studio/runs/{guess}").json() == {"state": "unknown"}


def test_a_body_that_is_too_large_is_refused_before_it_is_read(url: str) -> None:
    body = b'{"data": ["' + b"a" * 2**23 + b'"]}'
    answer = httpx.post(f"{url}{API}/call/ask", content=body, timeout=30)
    assert answer.status_code == 413 and "4,194,304 bytes" in answer.text


def files(cache: Path) -> list[Path]:
    return [path for path in cache.rglob("*") if path.is_file() and path.suffix != ".lock"]


def test_what_a_visitor_had_goes_when_the_visitor_has_left(
    open_tab: Callable[..., Tab], clip: Path, cache: Path
) -> None:
    leaver, stayer = open_tab(), open_tab()
    private, kept = upload(leaver, clip), upload(stayer, clip)
    key = ask(leaver, "what?")["key"]
    for name in ("trace.npz", "report.html"):
        assert leaver.get(f"studio/{key}/{name}").status_code == 200
    assert leaver.get(private["url"]).status_code == 200
    leaver.close()
    assert until(lambda: stayer.get(f"studio/{key}/scene.json").status_code == 404)
    assert until(lambda: stayer.get(private["url"]).status_code == 404)
    assert until(lambda: not any(key in path.name for path in files(cache)))
    assert stayer.get(kept["url"]).status_code == 200


@pytest.mark.long
def test_the_same_video_stays_as_long_as_one_who_sent_it(
    open_tab: Callable[..., Tab], clip: Path
) -> None:
    one, other = open_tab(), open_tab()
    content = clip.read_bytes() + b"\0\0\0\x0cfreeboth"
    for tab in (one, other):
        path = tab.upload(clip, "shared.mp4", content)
        url = tab.call("upload", path=path, name="shared.mp4", pick=1)["url"]
    key = ask(one, "what?")["key"]
    one.close()
    assert until(lambda: other.get(f"studio/{key}/scene.json").status_code == 404)
    assert other.get(url).status_code == 200
