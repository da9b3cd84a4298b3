"""HTML pages: what stands around a body, and the palette in the reader's theme."""

from __future__ import annotations

from viz.palette import DARK, LIGHT
from viz.report.markup import text


def document(title: str, body: str, *, policy: str, css: str) -> str:
    """One HTML page. `body` is markup already; `policy` is its Content-Security-Policy.

    The stylesheet may use every colour of the palette as `--NAME`, light or dark as the reader
    prefers.
    """
    return shell(title, f"<body>{body}</body>", policy=policy, css=_colours() + css)


def shell(title: str, body: str, *, policy: str, css: str) -> str:
    """What every page has around its `body` element."""
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{text(title)}</title>'
        '\n<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        f"<style>{css}</style></head>\n{body}</html>\n"
    )


def _colours() -> str:
    light, dark = (
        "; ".join(f"--{name}: {value}" for name, value in theme.items()) for theme in (LIGHT, DARK)
    )
    return (
        f":root {{ color-scheme: light dark; {light} }}\n"
        f"@media (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}\n"
    )
