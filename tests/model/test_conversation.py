"""Several questions about one clip: the answers and traces of asking afresh, the clip read once."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from conversations import (
    DENSE,
    QUESTIONS,
    SHOWN,
    SPARSE,
    WORDS,
    Case,
    asked,
    assert_same_trace,
    whole,
    written,
)

from adaspark.model.conversation import Conversation
from adaspark.model.prompt import Turn, build_prompt
from adaspark.model.prompt_cache import PromptCache
from adaspark.model.qwen import restore
from adaspark.model.shown import chosen_sampling
from adaspark.video.clip import patchify, read_clip


@pytest.mark.few(3)
@pytest.mark.parametrize("config", [SPARSE, DENSE], ids=["sparse", "dense"])
def test_another_question_is_answered_as_if_asked_afresh(case: Case, config: Any) -> None:
    conversation = Conversation()
    for number, question in enumerate(QUESTIONS):
        fresh = asked(case, question, config=config)
        again = asked(case, question, conversation, config=config)
        assert again.answer_ids == fresh.answer_ids and again.answer == fresh.answer
        assert again.logprob == pytest.approx(fresh.logprob, abs=1e-3)
        assert_same_trace(again.trace, fresh.trace)
        assert bool(again.trace.meta.cached_tokens) == (number > 0)
        assert fresh.trace.meta.cached_tokens is None


@pytest.mark.few(3)
@pytest.mark.parametrize("config", [SPARSE, DENSE], ids=["sparse", "dense"])
def test_turns_in_the_cache_are_those_of_one_long_prompt(case: Case, config: Any) -> None:
    conversation = Conversation(keeps_turns=True)
    held = 0
    for question in QUESTIONS:
        turns = list(conversation.turns)
        result = asked(case, question, conversation, config=config)
        expected = whole(case, question, turns, config)
        assert conversation.turns == [*turns, Turn(question, expected.ids)]
        assert_same_trace(result.trace, expected.trace)
        cached = result.trace.meta.cached_tokens or 0
        assert cached > held or not turns, "the last question is in the cache too"
        held = cached


@pytest.mark.few(2)
@pytest.mark.parametrize("config", [SPARSE, DENSE], ids=["sparse", "dense"])
def test_nothing_depends_on_being_recorded(case: Case, config: Any) -> None:
    kept = PromptCache(case.engine._checkpoint.model.config.text_config)
    turns: list[Turn] = []
    for question in QUESTIONS:
        mine = written(case, question, turns, config, kept, recorded=False)
        expected = whole(case, question, turns, config)
        assert mine.ids == expected.ids
        assert bool(mine.cached_tokens) == bool(turns)
        turns.append(Turn(question, mine.ids))


def test_what_was_not_recorded_is_read_again_for_a_recording(mini: Case) -> None:
    kept = PromptCache(mini.engine._checkpoint.model.config.text_config)
    written(mini, QUESTIONS[0], [], SPARSE, kept, recorded=False)
    kept_again = written(mini, QUESTIONS[1], [], SPARSE, kept, recorded=False)
    assert kept_again.cached_tokens
    recorded = written(mini, QUESTIONS[1], [], SPARSE, kept, recorded=True)
    assert recorded.cached_tokens == 0 and recorded.ids == kept_again.ids
    assert_same_trace(recorded.trace, whole(mini, QUESTIONS[1], [], SPARSE).trace)


def test_at_one_every_turn_is_that_of_transformers(case: Case) -> None:
    """Its own `generate`, on the pixels and the whole conversation."""
    checkpoint = case.engine._checkpoint
    if checkpoint.family.frames_apart:
        pytest.skip("prompts of these are held to transformers in test_checkpoint_frames")
    stock = restore(copy.deepcopy(checkpoint.model))
    sampling = chosen_sampling(checkpoint.sampling, **SHOWN)
    estimate = case.engine.estimate(case.clip, **SHOWN)
    slices, rows, columns = estimate.grid
    step = stock.config.vision_config.tokens_per_second * estimate.seconds_per_slice
    frames = read_clip(case.clip, sampling).frames
    conversation = Conversation(keeps_turns=True)
    for question in QUESTIONS:
        turns = list(conversation.turns)
        asked(case, question, conversation, config=DENSE)
        prompt = build_prompt(
            checkpoint.tokenizer, question, estimate.grid, turns=turns, position_step=step
        )
        output = stock.generate(
            input_ids=prompt.input_ids,
            attention_mask=torch.ones_like(prompt.input_ids),
            mm_token_type_ids=prompt.token_types,
            pixel_values_videos=patchify(frames, sampling, checkpoint.mean, checkpoint.std),
            video_grid_thw=torch.tensor([[slices, 2 * rows, 2 * columns]]),
            second_per_grid_ts=torch.tensor([estimate.seconds_per_slice]),
            max_new_tokens=WORDS,
            do_sample=False,
        )
        ids = output[0, prompt.input_ids.shape[1] :].tolist()
        ends = checkpoint.model.generation_config.eos_token_id
        if ids[-1] in (ends if isinstance(ends, list) else [ends]):
            ids.pop()
        assert list(conversation.turns[-1].answer_ids) == ids


def test_the_prompt_of_a_conversation_is_the_template_s(case: Case) -> None:
    tokenizer = case.engine._checkpoint.tokenizer
    said = ["red", "two of them"]
    ids = [tuple(tokenizer.encode(text, add_special_tokens=False)) for text in said]
    turns = [Turn(*turn) for turn in zip(QUESTIONS, ids, strict=False)]
    prompt = build_prompt(tokenizer, QUESTIONS[2], (1, 1, 1), turns=turns)
    messages: list[dict[str, Any]] = []
    for question, answer in zip(QUESTIONS, [*said, None], strict=True):
        messages.append({"role": "user", "content": [{"type": "text", "text": question}]})
        if answer:
            messages.append({"role": "assistant", "content": [{"type": "text", "text": answer}]})
    messages[0]["content"].insert(0, {"type": "video"})
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert prompt.input_ids[0].tolist() == tokenizer.encode(text, add_special_tokens=False)
    assert prompt.input_ids[0, : prompt.fixed].tolist() == tokenizer.encode(
        text[: text.index(QUESTIONS[0])], add_special_tokens=False
    )
    assert tokenizer.decode(prompt.input_ids[0, list(prompt.question)]) == QUESTIONS[2]
