"""Tokens as readable text: a character that takes several tokens is shown whole on the first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from tokenizers.decoders import DecodeStream

from adaspark.trace.meta import Part

BROKEN = "\ufffd"
MAX_TOKENS = 16  # of one character, or of few that share tokens; longer runs are no characters

Decode = Callable[[Sequence[int]], str]


class TextStream:
    """The text of an answer as its tokens come; a token costs the same however long the answer is.

    `tokenizer` is a fast tokenizer of transformers, backed by the tokenizers library. Special
    tokens have no text.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._backend = tokenizer.backend_tokenizer
        self._stream = DecodeStream(skip_special_tokens=True)

    def add(self, token: int) -> str:
        """The text that `token` completes; a character of several tokens comes with the last of
        them.
        """
        return self._stream.step(self._backend, token) or ""


class TokenText(NamedTuple):
    """The text that a token shows, and which part it is of one that takes several tokens."""

    text: str
    part: Part | None = None


def token_texts(ids: Sequence[int], decode: Decode) -> list[TokenText]:
    """The text of each token; joined, they are the whole text.

    If several tokens are readable only together, the first has their text, the others have none,
    and each says which part it is. What stays unreadable, as when an answer was cut within a
    character, is U+FFFD.
    """
    texts: list[TokenText] = []
    while len(texts) < len(ids):
        texts += _next_texts(ids[len(texts) : len(texts) + MAX_TOKENS], decode)
    return texts


def _next_texts(ids: Sequence[int], decode: Decode) -> list[TokenText]:
    """The texts of the first token and of those that it needs to be readable."""
    first = decode(ids[:1])
    if BROKEN not in first:
        return [TokenText(first)]
    for count in range(2, len(ids) + 1):
        whole = decode(ids[:count])
        if BROKEN not in whole:
            return [
                TokenText("" if number > 1 else whole, Part(number, count, whole.strip()))
                for number in range(1, count + 1)
            ]
    return [TokenText(first)]
