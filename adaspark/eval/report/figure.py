"""A picture of a result, with the words for one who cannot see it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """A picture of a result: PNG bytes, and what one who cannot see it should know (`alt`)."""

    name: str
    png: bytes
    title: str
    alt: str

    @property
    def file(self) -> str:
        """The file's name in the result's folder."""
        return f"{self.name}.png"
