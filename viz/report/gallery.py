"""The first page of a static gallery: recorded runs as cards, measured results as links."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from viz.report.document import document
from viz.report.markup import tag, text

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src 'self'"
_CSS = """
body { margin: 0 auto; padding: 28px 18px 56px; max-width: 1100px; box-sizing: border-box;
  background: var(--ground); color: var(--text); overflow-wrap: anywhere;
  font: 15px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif; }
h1 { margin: 10px 0 4px; font-size: clamp(24px, 4vw, 32px); line-height: 1.2; }
h2 { margin: 36px 0 8px; font-size: 20px; }
p { margin: 6px 0; max-width: 72ch; }
a { color: var(--accent); }
.runs { display: grid; grid-template-columns: repeat(auto-fill, minmax(240px, 1fr)); gap: 16px;
  padding: 0; list-style: none; }
.runs a { display: block; height: 100%; color: inherit; text-decoration: none;
  background: var(--panel); border: 1px solid var(--line); border-radius: 12px; overflow: hidden; }
.runs img { display: block; width: 100%; aspect-ratio: 4 / 3; object-fit: contain;
  background: #000; }
.runs div { padding: 12px 14px; }
.runs h3 { margin: 0; font-size: 16px; }
.answer { font-weight: 600; }
.muted { color: var(--muted); font-size: 13.5px; }
a:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
"""


@dataclass(frozen=True)
class Card:
    """A recorded run: its page `href`, a picture of its clip; densities are shares of 1."""

    href: str
    poster: str
    title: str
    question: str
    answer: str
    attention_density: float
    ffn_density: float


@dataclass(frozen=True)
class Link:
    """A page of measured results."""

    href: str
    title: str


def gallery(cards: Sequence[Card], results: Sequence[Link], note: str) -> str:
    """The page; it loads nothing but the pictures beside it, and its policy forbids it the rest.

    `note` says what the runs are of.
    """
    runs = "".join(tag("li", _card(card)) for card in cards)
    links = "".join(tag("li", tag("a", text(link.title), href=link.href)) for link in results)
    body = (
        "<main><h1>AdaSpark gallery</h1>"
        "<p>Recorded runs of adaptive sparsity on video. Open one to play it and see which cubes "
        "each layer attends to and which tokens pass through the FFN.</p>"
        f'{tag("p", text(note), class_="muted")}<ul class="runs">{runs}</ul>'
        + (f"<h2>Measured results</h2><ul>{links}</ul>" if results else "")
        + "</main>"
    )
    return document("AdaSpark gallery", body, policy=_POLICY, css=_CSS)


def _card(card: Card) -> str:
    costs = (
        f"{card.attention_density:.0%} of query-key pairs, {card.ffn_density:.0%} of video tokens "
        "through the FFN"
    )
    words = tag(
        "div",
        tag("h3", text(card.title)),
        tag("p", text(card.question)),
        tag("p", text(card.answer), class_="answer"),
        tag("p", text(costs), class_="muted"),
    )
    return tag("a", f'<img src="{escape(card.poster)}" alt="">', words, href=card.href)
