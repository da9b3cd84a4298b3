"""Tokens as people read them: a character that takes several tokens stands whole on the first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from tokenizers.decoders import DecodeStream

from adaspark.trace_meta import Part

BROKEN = "\ufffd"
MAX_TOKENS = 16  # of one character, or of few that share tokens; longer runs are no characters

Decode = Callable[[Sequence[int]], str]


class TextStream:
    """The text of an answer as its tokens come; a token costs the same however long the answer is.

    `tokenizer` is one of transformers' that tokenizers backs. Special tokens have no text.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._backend = tokenizer.backend_tokenizer
        self._stream = DecodeStream(skip_special_tokens=True)

    def add(self, token: int) -> str:
        """The text that `token` completes: a character of several tokens comes with its last."""
        return self._stream.step(self._backend, token) or ""


class TokenText(NamedTuple):
    """The text that a token shows, and which part it is of one that takes several tokens."""

    text: str
    part: Part | None = None


def token_texts(ids: Sequence[int], decode: Decode) -> list[TokenText]:
    """What is read of each token; joined, the texts are the whole text.

    Of tokens that only together are readable, the first has their text and the others none, and
    each says which part it is. What stays unreadable, as where an answer was cut within a
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
