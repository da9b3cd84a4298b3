"""What every offline page begins and ends with: title, security policy, colours, style."""

from __future__ import annotations

from viz.palette import css_variables
from viz.report.document import shell
from viz.report.modules import STATIC

_EVERY_VIEWER = ":is(#viewer, .viewer-copy)"
_POLICY = "default-src 'none'; script-src {}; style-src 'unsafe-inline'; {}"


def offline_page(
    title: str, body: str, *, styles: tuple[str, ...], script_src: str, sources: str
) -> str:
    """One HTML page. `body` is markup, `styles` name files of `viz/static`; `sources` says in CSP's
    words where pictures and films may come from: nothing else is asked for.
    """
    css = css_variables() + "".join(static(name) for name in styles)
    css = css.replace(_EVERY_VIEWER, "#viewer")  # an offline page has one, and no copies
    body = f'<body class="adaspark-page">{body}</body>'
    return shell(title, body, policy=_POLICY.format(script_src, sources), css=css)


def static(name: str) -> str:
    """The text of a file of `viz/static`."""
    return (STATIC / name).read_text("utf-8")
