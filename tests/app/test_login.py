"""Login, where a server asks for it: a list of names and hashed passwords."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from browser.serving import served
from paths import ROOT
from tab import API, Tab

from adaspark.errors import UserError
from app.web import login, wrong_logins
from app.web.login import hashed, login_from, matches
from app.web.wrong_logins import WrongLogins

FAKE_APP = ROOT / "tests" / "browser" / "fake_app.py"
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


@pytest.fixture(scope="module")
def allowed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("login") / "allowed"
    path.write_text(f"ada:{hashed('correct horse')}\n\nbob:{hashed('other')}\n")
    return path


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory, allowed: Path) -> Iterator[str]:
    folder = str(tmp_path_factory.mktemp("samples"))
    with served(str(FAKE_APP), folder, "0", ADASPARK_LOGIN=str(allowed)) as address:
        yield address


@pytest.mark.parametrize(
    "path",
    [
        "config",
        "studio/sample/01_numbers.mp4",
        "studio/anything/scene.json",
        "studio/plotly.js",
        f"{API}/info",
        f"{API}/queue/data?session_hash=x",
        f"{API}/queue/status",
    ],
)
def test_nothing_is_shown_to_who_is_not_logged_in(url: str, path: str) -> None:
    assert httpx.get(url + path).status_code == 401


@pytest.mark.parametrize("path", ["upload", "queue/join", "call/ask", "run/stop"])
def test_nothing_is_taken_from_who_is_not_logged_in(url: str, path: str) -> None:
    body = {"data": [], "fn_index": 0, "session_hash": "x"}
    assert httpx.post(f"{url}{API}/{path}", json=body).status_code == 401


def test_a_page_says_that_one_must_log_in(url: str) -> None:
    assert '"auth_required":true' in httpx.get(url).text.replace(" ", "")


@pytest.mark.parametrize("name, password", [("ada", "wrong"), ("eve", "other"), ("ada", "")])
def test_wrong_names_and_passwords_are_refused(url: str, name: str, password: str) -> None:
    answer = httpx.post(f"{url}login", data={"username": name, "password": password})
    assert answer.status_code in (400, 422) and not answer.cookies


def test_who_logs_in_is_answered_and_sees_the_video(url: str) -> None:
    browser = httpx.Client(timeout=60)
    given = {"username": "ada", "password": "correct horse"}
    browser.post(f"{url}login", data=given).raise_for_status()
    with Tab(url, browser=browser) as tab:
        tab.call("greet")
        run = tab.call("ask", ["what?", *tab.values("ask")[1:]], run=1)
        assert run["state"] == "done"
        assert tab.get(run["url"]).status_code == 200
        assert tab.get(f"studio/{run['key']}/scene.json").status_code == 200


class Clock:
    """Seconds that pass only when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def counted(most: int = 3, secs: float = 60.0) -> tuple[WrongLogins, Clock]:
    clock = Clock()
    return WrongLogins(most, secs, clock=clock), clock


def test_after_so_many_wrong_logins_a_name_waits_until_the_first_is_old() -> None:
    wrong, clock = counted()
    for at, address in enumerate(("10.0.0.1", "10.0.0.2", "10.0.0.3")):
        assert wrong.wait_secs("ada", address) == 0
        clock.now = 1000.0 + 10 * at
        wrong.begin("ada", address)
    assert wrong.wait_secs("ada", "10.0.0.4") == 40
    assert wrong.wait_secs("bob", "10.0.0.4") == 0, "others are not kept out"
    clock.now = 1060.0
    assert wrong.wait_secs("ada", "10.0.0.4") == 0
    wrong.begin("ada", "10.0.0.4")
    assert wrong.wait_secs("ada", "10.0.0.5") == 10, "then the second one counts"


def test_an_address_waits_whatever_names_it_tries() -> None:
    wrong, _ = counted()
    for name in ("ada", "bob", "eve"):
        wrong.begin(name, "10.0.0.1")
    assert wrong.wait_secs("dan", "10.0.0.1") == 60
    assert wrong.wait_secs("ada", "10.0.0.2") == 0


@pytest.mark.parametrize(
    ("one", "other", "is_one"),
    [
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:10.0.0.1", "10.0.0.1", True),
        ("10.0.0.1", "10.0.0.2", False),
        ("", "", True),
    ],
)
def test_an_address_is_what_one_visitor_has_of_them(one: str, other: str, is_one: bool) -> None:
    wrong, _ = counted(most=1)
    wrong.begin("ada", one)
    assert (wrong.wait_secs("bob", other) > 0) is is_one


def test_who_was_right_starts_anew_and_gets_no_tries_at_other_names_for_it() -> None:
    wrong, _ = counted()
    for name in ("ada", "ada", "ada"):
        wrong.begin(name, f"10.0.0.{len(name)}")
    wrong.was_right("ada", "10.0.0.9")
    assert wrong.wait_secs("ada", "10.0.0.9") == 0
    other, _ = counted()
    for _ in range(3):
        other.begin("eve", "10.0.0.1")
        other.was_right("eve", "10.0.0.1")
        other.begin("ada", "10.0.0.1")
    assert other.wait_secs("bob", "10.0.0.1") == 60


def test_what_is_remembered_of_logins_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wrong_logins, "_MAX_KNOWN", 8)
    wrong, _ = counted(most=1)
    for number in range(100):
        wrong.begin("x" * 10**5 + str(number), f"10.0.0.{number}" * 100)
    assert [len(known) for known in wrong._tries.values()] == [8, 8]
    assert max(len(key) for known in wrong._tries.values() for key in known) <= 64


@pytest.mark.parametrize(
    ("secs", "wait"), [(0.2, "1 s"), (90, "90 s"), (91, "2 minutes"), (900, "15 minutes")]
)
def test_the_wait_is_told_in_whole_seconds_or_minutes(secs: float, wait: str) -> None:
    assert wrong_logins._sentence(secs) == f"Too many wrong logins; try again in {wait}."


def log_in(url: str, password: str, *, name: str = "ada", came_from: str = "") -> httpx.Response:
    headers = {"X-Forwarded-For": came_from} if came_from else {}
    given = {"username": name, "password": password}
    return httpx.post(f"{url}login", data=given, headers=headers)


@pytest.mark.long
def test_a_server_refuses_too_many_wrong_logins_in_a_sentence(
    tmp_path: Path, allowed: Path
) -> None:
    """By name, whatever proxy's visitor it is, and by the address that a trusted proxy tells."""
    switches = {"ADASPARK_WRONG_LOGINS": "2", "ADASPARK_LOGIN_SECONDS": "36000"}
    asked = {"ADASPARK_LOGIN": str(allowed), **switches}
    with served(str(FAKE_APP), str(tmp_path), "0", **asked) as url:
        for host in ("1", "2"):
            assert log_in(url, "wrong", came_from=f"10.1.0.{host}").status_code == 400
        refused = log_in(url, "correct horse", came_from="10.1.0.3")
        assert refused.status_code == 429 and not refused.cookies
        assert refused.json()["detail"] == "Too many wrong logins; try again in 600 minutes."
        assert 35_000 < int(refused.headers["retry-after"]) <= 36_000
        # Another name, from elsewhere; then from an address that has one wrong try already.
        assert log_in(url, "other", name="bob", came_from="10.1.0.3").status_code == 200
        assert log_in(url, "wrong", name="eve", came_from="10.1.0.1").status_code == 400
        assert log_in(url, "other", name="bob", came_from="10.1.0.1").status_code == 429
        limits = httpx.get(f"{url}healthz").json()["limits"]
        assert (limits["wrong_logins"], limits["login_seconds"]) == (2, 36000)


def test_the_list_is_read_at_each_login(tmp_path: Path) -> None:
    path = tmp_path / "allowed"
    path.write_text(f"ada:{hashed('x')}")
    is_allowed = login_from(path)
    assert is_allowed("ada", "x") and not is_allowed("ada", "y") and not is_allowed("bob", "x")
    path.write_text(f"bob:{hashed('x')}")
    assert is_allowed("bob", "x") and not is_allowed("ada", "x")


def test_a_hash_does_not_show_the_password() -> None:
    one, other = hashed("x"), hashed("x")
    assert one != other and matches("x", one) and matches("x", other) and not matches("y", one)


@pytest.mark.parametrize("text", ["", "ada", "ada:plain", ":scrypt$00$00"])
def test_a_list_that_cannot_be_used_is_a_sentence(tmp_path: Path, text: str) -> None:
    path = tmp_path / "allowed"
    with pytest.raises(UserError, match="cannot be read"):
        login_from(path)
    path.write_text(text)
    with pytest.raises(UserError, match="NAME:HASH"):
        login_from(path)


def test_the_command_prints_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(login, "getpass", lambda: "x")
    assert login.main(["ada"]) == 0
    name, _, line = capsys.readouterr().out.strip().partition(":")
    assert name == "ada" and matches("x", line)
    assert login.main([]) == 2
