"""Tokens as people read them: a character that takes several tokens stands whole on the first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tokenizers.decoders import DecodeStream

BROKEN = "\ufffd"
MOST_TOKENS = 16  # of one character, or of few that share tokens; longer runs are no characters

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


def token_texts(ids: Sequence[int], decode: Decode) -> list[dict[str, Any]]:
    """{"text"} of each token; joined, the texts are the whole text.

    Of tokens that only together are readable, the first has their text and the others none, and
    each says which it is: "part" {"number" from 1, "count", "of"}. What stays unreadable, as where
    an answer was cut within a character, is U+FFFD.
    """
    texts: list[dict[str, Any]] = []
    while len(texts) < len(ids):
        texts += _next_texts(ids[len(texts) : len(texts) + MOST_TOKENS], decode)
    return texts


def _next_texts(ids: Sequence[int], decode: Decode) -> list[dict[str, Any]]:
    """The texts of the first token and of those that it needs to be readable."""
    first = decode(ids[:1])
    if BROKEN not in first:
        return [{"text": first}]
    for count in range(2, len(ids) + 1):
        whole = decode(ids[:count])
        if BROKEN not in whole:
            return [
                {
                    "text": "" if number > 1 else whole,
                    "part": {"number": number, "count": count, "of": whole.strip()},
                }
                for number in range(1, count + 1)
            ]
    return [{"text": first}]
