"""The page's ES modules, served under an address that changes whenever one of them does.

They keep the folders they have in the repository, so that "../../viz/static/dom.js" means the
same in a browser, in Node and in an editor. What an address stands for never changes: browsers
keep the modules for good and ask for nothing on a second visit.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from viz import modules

STATIC = Path(__file__).parent / "static"
ENTRY = "app/static/page.js"
_HEADERS = {
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


def route() -> Route:
    """The route of the modules. A browser asks for those of an older page only if it lost them."""

    def module(request: Request) -> Response:
        source = files().get(request.path_params["path"])
        if source is None:
            return PlainTextResponse("There is no such script; reload the page.", 404)
        return Response(source, media_type="text/javascript", headers=_HEADERS)

    return Route(f"/{folder()}/{{path:path}}", module)


def head() -> str:
    """Elements of the page's head: all modules are asked for at once, and one function is defined.

    `adasparkCall(name, ...values)` is what Gradio's events call; it promises what page.js's
    function of that name returns. Other scripts have no way in.
    """
    preloads = (f'<link rel="modulepreload" href="{folder()}/{path}">' for path in files())
    return "\n".join((*preloads, f"<script>{_DISPATCHER % f'./{folder()}/{ENTRY}'}</script>"))


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
