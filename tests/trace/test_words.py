"""Tokens as texts: whole characters where tokens are parts of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from models import tokenizer

from adaspark.trace.meta import Part
from adaspark.trace.token_text import BROKEN, MAX_TOKENS, TextStream, TokenText, token_texts


def of_bytes(ids: Sequence[int]) -> str:
    return bytes(ids).decode("utf-8", errors="replace")


def read(raw: bytes) -> list[dict[str, Any]]:
    return token_texts(list(raw), of_bytes)


def test_a_character_stands_whole_on_the_first_of_its_tokens() -> None:
    assert read("a日b".encode()) == [
        TokenText("a"),
        TokenText("日", Part(1, 3, "日")),
        TokenText("", Part(2, 3, "日")),
        TokenText("", Part(3, 3, "日")),
        TokenText("b"),
    ]


@pytest.mark.parametrize("said", ["", "What color?", "日本 is 🙂!", "é視👩", "🙂" * MAX_TOKENS])
def test_texts_are_one_a_token_and_join_to_the_whole(said: str) -> None:
    ids = tokenizer().encode(said, add_special_tokens=False)
    texts = token_texts(ids, tokenizer().decode)
    assert len(texts) == len(ids)
    assert "".join(text.text for text in texts) == said


def test_tokens_that_share_two_characters_are_one_group() -> None:
    pieces = ["日本".encode()[:4], "日本".encode()[4:]]
    texts = token_texts([0, 1], lambda ids: of_bytes(b"".join(pieces[i] for i in ids)))
    assert [(text.text, text.part.count) for text in texts] == [("日本", 2), ("", 2)]


def test_a_character_that_was_cut_or_lost_stays_as_it_is() -> None:
    assert read("日".encode()[:2]) == [TokenText(BROKEN)] * 2
    lost = read(BROKEN.encode() + "日".encode())
    assert [text.text for text in lost] == [BROKEN] * 3 + ["日", "", ""]


@given(st.data())
def test_a_stream_says_what_decoding_all_tokens_anew_would_add(data: st.DataObject) -> None:
    """Whole characters, broken ones and special tokens alike, in any order."""
    known = tokenizer().encode("日本🙂é視👩 the", add_special_tokens=False)
    anything = st.integers(0, len(tokenizer()) - 1)
    ids = data.draw(st.lists(st.sampled_from(known) | anything, max_size=24))
    stream, shown = TextStream(tokenizer()), ""
    for count, token in enumerate(ids, 1):
        whole = tokenizer().decode(ids[:count], skip_special_tokens=True)
        added = stream.add(token)
        if whole.endswith(BROKEN):
            assert not added
        else:
            assert shown + added == whole
            shown = whole
