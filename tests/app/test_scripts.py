"""The ES modules: what each imports, how they are served, and what Gradio's events call of them."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

import pytest
from paths import ROOT
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from app.page import scripts, templates

FILES = scripts.files()


def imported(path: str) -> list[str]:
    """The modules that a module imports, by their paths."""
    found = re.findall(r'(?m)^(?:import|\}).* ?"(\.[^"]*)";$', FILES[path])
    parts = [(PurePosixPath(path).parent / each).parts for each in found]
    return [_plain(each) for each in parts]


def _plain(parts: tuple[str, ...]) -> str:
    plain: list[str] = []
    for part in parts:
        if part == "..":
            plain.pop()
        else:
            plain.append(part)
    return "/".join(plain)


@pytest.fixture
def client() -> TestClient:
    return TestClient(Starlette(routes=[scripts.route()]))


def test_every_script_of_both_folders_is_a_module() -> None:
    written = [*ROOT.glob("viz/static/*.js"), *ROOT.glob("app/static/*.js")]
    assert FILES.keys() == {str(path.relative_to(ROOT)) for path in written}
    entries = {scripts.ENTRY, "app/static/login.js"}
    entries |= {"viz/static/report.js", "viz/static/index_page.js"}
    others = FILES.keys() - entries
    assert not [path for path in others if "export " not in FILES[path]]


@pytest.mark.parametrize("path", FILES)
def test_a_module_imports_modules_that_there_are_and_no_circle(path: str) -> None:
    named = re.findall(r'(?m)^(?:import|\}).* ?"([^"]*)";$', FILES[path])
    assert all(each.startswith(("./", "../../viz/static/")) for each in named)
    reached, todo = set(), [path]
    while todo:
        for each in imported(todo.pop()):
            assert each in FILES and each != path
            if each not in reached:
                reached.add(each)
                todo.append(each)


def test_the_viewer_knows_no_page() -> None:
    viewer = [path for path in FILES if path.startswith("viz/")]
    assert not [path for path in viewer for each in imported(path) if each.startswith("app/")]


def test_nothing_parses_markup_and_nothing_is_set_on_window() -> None:
    source = "".join(FILES.values()) + templates.head()
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", source)
    assert not re.search(r"(window|globalThis)(\.\w+|\[.*\]) \??\|?\|?= ", source)
    defined = re.findall(r'Object\.defineProperty\(window, "(\w+)"', source)
    assert sorted(defined) == ["adaspark", "adasparkCall"]


def test_a_script_is_served_as_javascript_and_kept_for_good(client: TestClient) -> None:
    served = scripts.served()
    assert served.keys() == {scripts.ENTRY, scripts.LOGIN, "app/static/chinese.js"}
    for path, source in served.items():
        answer = client.get(f"/{scripts.folder()}/{path}")
        assert answer.status_code == 200 and answer.text == source
        assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
        assert "immutable" in answer.headers["cache-control"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-security-policy"] == "default-src 'none'"
        plain = client.get(f"/{scripts.folder()}/{path}", headers={"Accept-Encoding": "identity"})
        assert plain.text == source and "content-encoding" not in plain.headers
        assert answer.headers["content-encoding"] == "gzip"
        assert answer.headers["vary"] == plain.headers["vary"] == "Accept-Encoding"


NOT_SERVED = ["app/static/none.js", "app/static/run.js", "app/web/server.py", "../x.js"]


@pytest.mark.parametrize("path", NOT_SERVED)
def test_nothing_but_scripts_is_served(client: TestClient, path: str) -> None:
    assert client.get(f"/{scripts.folder()}/{path}").status_code == 404


async def page(request: Request) -> HTMLResponse:
    return HTMLResponse("<head><title>A</title></head>\u00fc<body></head></body>")


def test_the_page_asks_for_one_script_at_the_end_of_its_head() -> None:
    routes = [Route("/", page), Route("/other", page)]
    client = TestClient(Starlette(routes=routes, middleware=[Middleware(scripts.Preload)]))
    served = client.get("/")
    head, rest = served.text.split("</head>", 1)
    asked = re.findall(r'<link rel="modulepreload" href="([^"]*)">', head)
    assert asked == [f"{scripts.folder()}/{scripts.ENTRY}"]
    assert head.startswith("<head><title>A</title><link") and rest == "\u00fc<body></head></body>"
    assert int(served.headers["content-length"]) == len(served.content)
    assert "modulepreload" not in client.get("/other").text
    assert client.head("/").status_code == 200


def test_the_entrance_imports_the_entry() -> None:
    assert f'import("./{scripts.folder()}/{scripts.ENTRY}")' in templates.head()


def test_gradio_calls_what_the_page_has_and_the_page_has_what_gradio_calls() -> None:
    python = "".join(
        (ROOT / "app/page" / name).read_text("utf-8") for name in ("ui.py", "controls.py")
    )
    called = set(re.findall(r'\b(?:call|returning)\(\s*"(\w+)"', python))
    called |= set(re.findall(r'"(mount\w+)"', python))
    table = re.search(r"const CALLS = \{(.*?)\n\};", FILES[scripts.ENTRY], re.S)
    assert table and called == set(re.findall(r"\w+", table[1]))
    assert "window." not in python
