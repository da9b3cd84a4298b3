"""The page's ES modules, served under an address that changes whenever one of them does.

What a page needs comes as one script, `app.page.joined`; a further language is another. They keep
the addresses that their first modules have in the repository, so that "./chinese.js" means the
same in a browser, in Node and in an editor. What an address stands for never changes: browsers
keep the scripts for good and ask for nothing on a second visit.
"""

from __future__ import annotations

import gzip
import hashlib
import re
from functools import cache
from pathlib import Path

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.page.joined import imported, imported_later, joined
from viz.report import modules

STATIC = Path(__file__).parents[1] / "static"
ENTRY = "app/static/page.js"
LOGIN = "app/static/login.js"
_HEADERS = {
    "Vary": "Accept-Encoding",
    "Cache-Control": "public, max-age=31536000, immutable",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'",
}


@cache
def files() -> dict[str, str]:
    """Every module by its path in the repository."""
    ours = {path.name: path.read_text("utf-8") for path in sorted(STATIC.glob("*.js"))}
    return {
        **{f"viz/static/{name}": source for name, source in modules.sources().items()},
        **{f"app/static/{name}": source for name, source in ours.items()},
    }


@cache
def folder() -> str:
    """The address, relative to the page, under which the modules lie."""
    digest = hashlib.sha256()
    for path, source in files().items():
        digest.update(f"{path}\0{source}\0".encode())
    return f"studio/modules/{digest.hexdigest()[:16]}"


@cache
def served() -> dict[str, str]:
    """What is served, by path: each entry with all that it imports, and what they ask for later.

    Raises ValueError if a module would be in two scripts of one page: it would be there twice.
    """
    sources = files()
    page = imported(ENTRY, sources)
    later = [path for each in page for path in imported_later(each, sources[each])]
    for path in later:
        if twice := sorted({*page} & {*imported(path, sources)}):
            raise ValueError(f"{path} imports what the page has already: {', '.join(twice)}.")
    return {path: joined(path, sources) for path in (ENTRY, LOGIN, *later)}


@cache
def _zipped(path: str) -> bytes:
    """A script as it is sent: Gradio would compress it anew for each visitor."""
    return gzip.compress(served()[path].encode(), mtime=0)


def route() -> Route:
    """The route of the scripts. A browser asks for those of an older page only if it lost them."""

    async def script(request: Request) -> Response:
        path = request.path_params["path"]
        if path not in served():
            return PlainTextResponse("There is no such script; reload the page.", 404)
        if "gzip" not in request.headers.get("accept-encoding", ""):
            return Response(served()[path], media_type="text/javascript", headers=_HEADERS)
        headers = {**_HEADERS, "Content-Encoding": "gzip"}
        return Response(_zipped(path), media_type="text/javascript", headers=headers)

    return Route(f"/{folder()}/{{path:path}}", script)


class Preload:
    """ASGI middleware: the page as it is served asks for our script, after Gradio's own, and finds
    all addresses from its own.

    Gradio adds our head only once its own scripts have run, which is when ours is needed.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand everything on, the page with its links."""
        if scope["type"] == "http" and scope["method"] == "GET" and _is_page(scope):
            await self._app(scope, receive, _WithLinks(send))
        else:
            await self._app(scope, receive, send)


class _WithLinks:
    """A page that asks for our script, and whose addresses begin where it was found."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._start: Message = {}
        self._body = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message
            return
        self._body += message.get("body", b"")
        if message.get("more_body"):
            return
        own = login_script() if _LOGIN.search(self._body) else links()
        body = self._body.replace(b"</head>", f"{own}</head>".encode(), 1)
        body = _OWN_ROOT.sub(_ROOT, body, count=1)
        body = body.replace(b'href="/manifest.json"', b'href="./manifest.json"')
        MutableHeaders(scope=self._start)["content-length"] = str(len(body))
        await self._send(self._start)
        await self._send({"type": "http.response.body", "body": body})


def _is_page(scope: Scope) -> bool:
    return bool(scope["path"].rstrip("/") == scope.get("root_path", "").rstrip("/"))


# Gradio makes addresses of what the server takes for its own, which a proxy may know otherwise.
_OWN_ROOT = re.compile(rb'const root = "[^"]*";')
_ROOT = rb"const root = gradio_config.root = new URL('.', location.href).href.replace(/[/]$/, '');"


_LOGIN = re.compile(rb'"auth_required":\s*true')
"""Of a page that asks for a login first."""


def login_script() -> str:
    """The one script of ours that Gradio's login page has."""
    return f'<script type="module" src="{folder()}/{LOGIN}"></script>'


def links() -> str:
    """Elements that ask for the script that each page needs, and for the icon beside the page."""
    return (
        f'<link rel="icon" href="favicon.ico">\n'
        f'<link rel="modulepreload" href="{folder()}/{ENTRY}">'
    )


def dispatcher() -> str:
    """The script element that defines the one way in from Gradio's events.

    `adasparkCall(name, ...values)` promises what page.js's function of that name returns.
    """
    return f"<script>{_DISPATCHER % f'./{folder()}/{ENTRY}'}</script>"


_DISPATCHER = """
{
  const page = import("%s");
  const lost = () => {
    const place = document.getElementById("error");
    if (place) place.textContent = "The page's scripts did not load; reload the page.";
  };
  const value = (name, ...values) => page.then((module) => module.call(name, ...values), lost);
  Object.defineProperty(window, "adasparkCall", { value });
}
"""


def call(name: str) -> str:
    """A Gradio `js=` that calls a function of page.js and waits for nothing."""
    return f'() => {{ adasparkCall("{name}"); }}'


def returning(name: str) -> str:
    """A Gradio `js=` that gives the inputs' values to a function of page.js and returns its own."""
    return f'(...values) => adasparkCall("{name}", ...values)'


def mounting(name: str) -> str:
    """A Gradio `js_on_load` that hands an element to a function of page.js.

    In backticks: Gradio takes what stands in quotes there for an event of the component.
    """
    return f"adasparkCall(`{name}`, element, {{ props, trigger, watch }});"
