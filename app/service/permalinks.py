"""Permalinks: a sample clip, a question and settings as query parameters; never an upload."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass

from adaspark.errors import UserError
from app.service.settings import Settings, checked_question

SAMPLE, QUESTION, CLIP = "sample", "q", "clip"
SETTINGS = (
    *("attn", "ffn", "cube_t", "cube_h", "cube_w"),
    *("fps", "frames", "words", "pixels", "tokens", "text", "importance"),
)
"""Names in the link, in the order of the controls and of the fields of `Settings`."""
_WORDS = ("importance",)
"""Those whose value is a word; the others are numbers."""


@dataclass(frozen=True)
class Permalink:
    """What a page's address asks for; `values` are those of the controls, in their order.

    `is_given` is false if the address is the page's own; `clip` names an upload that it was about.
    """

    sample: str | None
    question: str | None
    values: tuple[object, ...]
    is_given: bool = False
    clip: str | None = None

    @property
    def settings(self) -> Settings:
        """The controls' values by name."""
        return Settings(*self.values)


def read_permalink(
    query: Mapping[str, str], values: tuple[object, ...], samples: Container[str]
) -> Permalink:
    """What a page's address asks for; what it leaves out is as in `values`.

    Raises UserError for a link that cannot be followed; other parameters are ignored.
    """
    try:
        given = {name: _read(name, query[name]) for name in SETTINGS if name in query}
    except ValueError as error:
        raise UserError(f"This link's settings are not numbers: {error}.") from error
    sample = query.get(SAMPLE)
    if sample is not None and sample not in samples:
        raise UserError(f"This link's sample clip {sample!r} is not here; pick one of the cards.")
    question = checked_question(query[QUESTION]) if QUESTION in query else None
    own = dict(zip(SETTINGS, values, strict=True))
    if own["text"] == own["attn"]:  # one p for both: a link that gives it alone means both
        own["text"] = given.get("attn", own["text"])
    merged = tuple(given.get(name, value) for name, value in own.items())
    Settings(*merged).options()
    return Permalink(sample, question, merged, bool(sample or question or given), query.get(CLIP))


def _read(name: str, text: str) -> float | str:
    return text if name in _WORDS else float(text)
