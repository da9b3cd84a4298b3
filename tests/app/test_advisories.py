"""Known advisories of Gradio 6, each shown not to apply to this server; `.github/SECURITY.md` has
the list. Most are mended in the Gradio that is required; here it is asked of the server itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version

import httpx
import pytest
from browser.serving import served
from packaging.version import Version
from paths import ROOT

FAKE_APP = ROOT / "tests" / "browser" / "fake_app.py"
MENDED_IN = "6.16.0"
SECRET = "root:"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = str(tmp_path_factory.mktemp("samples"))
    with served(str(FAKE_APP), folder, "0") as address:
        yield address


def test_the_required_gradio_has_them_mended() -> None:
    (line,) = [
        line for line in (ROOT / "requirements.txt").read_text().splitlines() if "gradio" in line
    ]
    least = line.partition(">=")[2].partition(",")[0] or line.partition("==")[2]
    assert Version(least) >= Version(MENDED_IN) <= Version(version("gradio"))


@pytest.mark.parametrize("address", ["https://example.com/x", "http://169.254.169.254/latest"])
@pytest.mark.parametrize("way", ["file=", "file/", "proxy="])
def test_it_is_no_open_redirect_and_fetches_nothing(url: str, way: str, address: str) -> None:
    """gradio-app/gradio 13593 and 13608 (`file=`), CVE-2026-28416 (`proxy=` after `gr.load`),
    CVE-2026-48545 (cookies of `proxy=` shared by all).
    """
    answer = httpx.get(f"{url}gradio_api/{way}{address}", follow_redirects=False)
    assert answer.status_code == 404 and "location" not in answer.headers


@pytest.mark.parametrize("path", ["login/huggingface", "login/callback?_target_url=https://e.org"])
def test_there_is_no_mocked_login_and_no_redirect_after_one(url: str, path: str) -> None:
    """CVE-2026-27167 (the server's own token in a cookie), CVE-2026-28415 (`_target_url`)."""
    answer = httpx.get(f"{url}{path}", follow_redirects=False)
    assert answer.status_code == 404 and not answer.cookies
    assert "location" not in answer.headers


@pytest.mark.parametrize(
    "path",
    [
        "static/..%2f..%2f..%2f..%2f..%2f..%2f..%2fetc%2fpasswd",
        "static//etc/passwd",
        "assets/..%2f..%2f..%2f..%2f..%2f..%2fetc%2fpasswd",
        "assets/%5c..%5c..%5cetc%5cpasswd",
        "svelte/..%2f..%2f..%2f..%2f..%2f..%2fetc%2fpasswd",
        "gradio_api/custom_component/x/client/component/..%2f..%2fetc%2fpasswd",
    ],
)
def test_no_path_leads_out_of_a_folder(url: str, path: str) -> None:
    """CVE-2026-28414 (`static`, on Windows), and the older ones of its kind."""
    answer = httpx.get(f"{url}{path}")
    assert answer.status_code in (403, 404) and SECRET not in answer.text


def test_no_part_of_the_page_reads_folders_or_calls_the_server(url: str) -> None:
    """GHSA-j36p-7w88-g82j (FileExplorer): what is not there cannot be asked."""
    kinds = {part["type"] for part in httpx.get(f"{url}config").json()["components"]}
    assert kinds.isdisjoint({"fileexplorer", "loginbutton", "dataframe", "imageeditor", "chatbot"})
    assert httpx.post(f"{url}gradio_api/component_server", json={}).status_code == 404


@pytest.mark.parametrize("origin", ["https://evil.example", "null"])
def test_other_pages_may_not_read_what_it_answers(url: str, origin: str) -> None:
    """CVE-2024-47084 and its kind: any origin was allowed on a local server."""
    answer = httpx.get(f"{url}config", headers={"Origin": origin})
    assert "access-control-allow-origin" not in answer.headers


def test_it_tells_nobody_else_and_shows_no_statistics(url: str) -> None:
    config = httpx.get(f"{url}config").json()
    assert config["analytics_enabled"] is False
    for path in ("monitoring", "monitoring/summary", "monitoring/x"):
        assert httpx.get(f"{url}{path}").status_code in (403, 404)
