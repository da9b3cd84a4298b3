"""The bundled tokenizer: lossless on any text, and the vocabulary of its own world."""

from functools import cache
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from adaspark.mini.training.tokenizer import SPECIAL_TOKENS, VOCAB_SIZE, train_tokenizer
from adaspark.mini.world.vocabulary import COLORS, SHAPES


@cache
def tokenizer() -> Any:
    return train_tokenizer()


@given(st.text(max_size=60))
@settings(max_examples=200, deadline=None)
def test_any_text_survives(text: str) -> None:
    ids = tokenizer().encode(text, add_special_tokens=False, split_special_tokens=True)
    assert tokenizer().decode(ids) == text
    assert not set(ids) & set(tokenizer().convert_tokens_to_ids(list(SPECIAL_TOKENS)))


def test_answers_are_single_tokens() -> None:
    for word in (*COLORS, *SHAPES, "yes", "no", "none", "left", "3"):
        assert len(tokenizer().encode(word)) == 1, word


def test_training_twice_gives_the_same_vocabulary() -> None:
    assert train_tokenizer().get_vocab() == tokenizer().get_vocab()
    assert len(tokenizer()) == VOCAB_SIZE


def test_the_template_is_qwens() -> None:
    content = [{"type": "video"}, {"type": "text", "text": "Hi"}]
    text = tokenizer().apply_chat_template(
        [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
    )
    assert text == (
        "<|im_start|>user\n<|vision_start|><|video_pad|><|vision_end|>Hi<|im_end|>\n"
        "<|im_start|>assistant\n"
    )
