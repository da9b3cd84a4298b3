"""HTML and SVG elements as text, for reports, evaluations' pages and charts.

(No templates of Jinja2: viz needs numpy and plotly alone, and most of these elements are rows and
shapes that follow from arrays.)
"""

from __future__ import annotations

from html import escape


def tag(name: str, *children: str, **attributes: object) -> str:
    """An element. Children are markup already (use `text`); attribute values are escaped.

    `class_` is written class, other underscores become dashes; True is a bare attribute, None and
    False leave it out.
    """
    parts = [name]
    for key, value in attributes.items():
        if value is not None and value is not False:
            plain = key.rstrip("_").replace("_", "-")
            parts.append(plain if value is True else f'{plain}="{escape(str(value))}"')
    return f"<{' '.join(parts)}>{''.join(children)}</{name}>"


def text(value: object) -> str:
    """Text of any origin, escaped."""
    return escape(str(value))
