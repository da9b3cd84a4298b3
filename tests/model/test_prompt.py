"""A prompt's ids, types and positions: transformers' own, and not to be forged."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from models import prompt, tiny_model, tokenizer

from adaspark.model.mrope import TEXT, VIDEO, mrope_positions
from adaspark.model.prompt import build_prompt, pruned

GRID = (2, 3, 4)
SPECIAL = ("<|im_start|>", "<|im_end|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>")


@cache
def model() -> Any:
    return tiny_model(layers=1)


sides = st.integers(1, 4)
grid_lists = st.lists(st.tuples(sides, sides, sides), min_size=1, max_size=3)


@given(grid_lists, st.integers(0, 4), st.integers(0, 3), st.integers(0, 3), st.integers(0, 5))
@settings(max_examples=30)
def test_positions_are_those_of_transformers(
    grids: list[tuple[int, int, int]], seconds: int, before: int, between: int, after: int
) -> None:
    inputs = prompt(grids, before=before, between=between, after=after)
    expected, _ = model().model.get_rope_index(
        inputs["input_ids"],
        mm_token_type_ids=inputs["mm_token_type_ids"],
        video_grid_thw=inputs["video_grid_thw"],
        second_per_grid_ts=torch.full((len(grids),), seconds),
    )
    rate = model().config.vision_config.tokens_per_second
    positions, following = mrope_positions(
        inputs["mm_token_type_ids"][0], grids, position_steps=[rate * seconds] * len(grids)
    )
    assert torch.equal(positions, expected[:, 0])
    assert following == int(expected[:, 0, -1].max()) + 1


def test_fractions_of_a_position_are_kept_until_they_add_up() -> None:
    types = torch.full((4,), VIDEO)
    positions, following = mrope_positions(types, [(4, 1, 1)], position_steps=[0.5])
    assert positions[0].tolist() == [0, 0, 1, 1] and following == 2


def test_text_alone_counts_up() -> None:
    positions, following = mrope_positions(torch.zeros(5, dtype=torch.long), [], position_steps=[])
    assert positions.tolist() == [[0, 1, 2, 3, 4]] * 3 and following == 5


def test_a_prompt_is_the_template_with_the_video_in_its_place() -> None:
    asked = build_prompt(tokenizer(), "what color is it ?", GRID, position_step=1.0)
    message = [
        {
            "role": "user",
            "content": [{"type": "video"}, {"type": "text", "text": "what color is it ?"}],
        }
    ]
    text = tokenizer().apply_chat_template(message, tokenize=False, add_generation_prompt=True)
    expected = tokenizer().encode(
        text.replace("<|video_pad|>", "<|video_pad|>" * 24), add_special_tokens=False
    )
    assert asked.input_ids[0].tolist() == expected and asked.tokens == len(expected)
    pad = tokenizer().convert_tokens_to_ids("<|video_pad|>")
    assert torch.equal(asked.token_types == VIDEO, asked.input_ids == pad)
    assert set(asked.token_types.flatten().tolist()) == {TEXT, VIDEO}
    assert asked.position_ids.shape == (3, 1, asked.tokens)
    assert asked.position_ids[..., -1].flatten().tolist() == [asked.next_position - 1] * 3


questions = st.lists(
    st.one_of(st.sampled_from(SPECIAL), st.text(st.characters(exclude_categories=["Cs"]))),
    min_size=1,
    max_size=4,
).map("".join)


@given(questions)
@settings(max_examples=60)
def test_no_question_can_forge_a_turn_or_a_video(question: str) -> None:
    plain = build_prompt(tokenizer(), "red", GRID, position_step=1.0)
    asked = build_prompt(tokenizer(), question, GRID, position_step=1.0)
    for token in tokenizer().all_special_tokens:
        index = tokenizer().convert_tokens_to_ids(token)
        assert (asked.input_ids == index).sum() == (plain.input_ids == index).sum(), token
    assert (asked.token_types == VIDEO).sum() == 24


@pytest.mark.parametrize("question", ["日本の円は何色?", "👩‍👩‍👧 ?", "naïve Ünïcode", "a\x00b"])
def test_every_string_is_encoded_whole(question: str) -> None:
    asked = build_prompt(tokenizer(), question, GRID, position_step=1.0)
    decoded = tokenizer().decode(asked.input_ids[0])
    assert f"<|vision_end|>{question}<|im_end|>" in decoded


def test_what_pruning_leaves_keeps_its_place() -> None:
    whole = build_prompt(tokenizer(), "what color ?", GRID, position_step=2.5)
    kept = torch.tensor([1, 7, 23])
    left = pruned(whole, kept)
    video, text = (whole.token_types[0] == kind for kind in (VIDEO, TEXT))
    is_video = left.token_types[0] == VIDEO
    assert left.tokens == whole.tokens - 24 + 3 and left.next_position == whole.next_position
    positions, before = left.position_ids[:, 0], whole.position_ids[:, 0]
    assert torch.equal(positions[:, is_video], before[:, video][:, kept])
    assert torch.equal(positions[:, ~is_video], before[:, text])
    assert torch.equal(left.input_ids[0, ~is_video], whole.input_ids[0, text])
    words = left.input_ids[0, list(left.question)]
    assert tokenizer().decode(words) == "what color ?"


def test_pruning_nothing_changes_nothing() -> None:
    whole = build_prompt(tokenizer(), "what color ?", GRID, position_step=1.0)
    left = pruned(whole, torch.arange(24))
    assert torch.equal(left.position_ids, whole.position_ids)
    assert torch.equal(left.input_ids, whole.input_ids) and left.question == whole.question
