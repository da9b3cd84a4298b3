"""What a conversation holds of a clip, when it reads the clip again, and what lets go of it."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from clips import write_clip
from conversations import (
    DENSE,
    QUESTIONS,
    SPARSE,
    WORDS,
    Case,
    asked,
    assert_same_trace,
    options,
    whole,
)

from adaspark.errors import UserError
from adaspark.method.config import AdaSparkConfig
from adaspark.model import engine as engine_module
from adaspark.model.conversation import Conversation
from adaspark.model.engine import Engine
from adaspark.model.events import Phase, Result


def test_a_follow_up_reads_its_own_text_alone(mini: Case) -> None:
    conversation, rows = Conversation(), []
    layer = mini.engine._checkpoint.model.model.language_model.layers[0]
    handle = layer.register_forward_pre_hook(lambda _, args: rows.append(args[0].shape[1]))
    asked(mini, QUESTIONS[0], conversation)
    rows.clear()
    second = asked(mini, QUESTIONS[1], conversation).trace.meta
    handle.remove()
    assert second.counts is not None and second.cached_tokens is not None
    read, *words = rows
    assert read == second.counts.tokens - second.cached_tokens < second.counts.text_tokens
    assert set(words) <= {1}


OTHERS: dict[str, dict[str, Any]] = {
    "attention p": {"config": replace(SPARSE, attn_top_p=0.7)},
    "FFN p": {"config": replace(SPARSE, ffn_top_p=0.6)},
    "text p": {"config": replace(SPARSE, text_top_p=0.9)},
    "cube": {"config": replace(SPARSE, cube=(1, 2, 2))},
    "frames": {"max_frames": 2},
    "pixels": {"max_pixels": 56 * 56},
    "forced": {"forced": {0: True}},
    "pruned": {"config": AdaSparkConfig((1, 1, 5), 1, 1), "keep_tokens": 5},
}


@pytest.mark.few(3)
@pytest.mark.parametrize("name", OTHERS)
def test_under_other_settings_the_clip_is_read_again(mini: Case, name: str) -> None:
    conversation = Conversation()
    asked(mini, QUESTIONS[0], conversation)
    other = asked(mini, QUESTIONS[1], conversation, **OTHERS[name])
    fresh = asked(mini, QUESTIONS[1], **OTHERS[name])
    assert other.trace.meta.cached_tokens is None and other.answer == fresh.answer
    assert_same_trace(other.trace, fresh.trace)
    again = asked(mini, QUESTIONS[2], conversation, **OTHERS[name])
    assert again.trace.meta.cached_tokens, "what was read last is held"


def test_another_model_reads_the_clip_itself(mini: Case, clip: Path) -> None:
    conversation = Conversation()
    asked(mini, QUESTIONS[0], conversation)
    other = asked(Case(Engine("mini-sparse", "cpu"), clip), QUESTIONS[0], conversation)
    assert other.trace.meta.cached_tokens is None


def test_turns_are_of_one_clip(mini: Case, tmp_path: Path) -> None:
    conversation = Conversation(keeps_turns=True)
    asked(mini, QUESTIONS[0], conversation)
    renamed = tmp_path / "renamed.mp4"
    renamed.write_bytes(mini.clip.read_bytes())
    same = asked(mini._replace(clip=renamed), QUESTIONS[1], conversation)
    assert same.trace.meta.cached_tokens and len(conversation.turns) == 2
    other = write_clip(tmp_path / "other.mp4", frames=24, fps=6, size=(272, 480))
    result = asked(mini._replace(clip=other), QUESTIONS[2], conversation)
    assert result.trace.meta.cached_tokens is None
    assert [turn.question for turn in conversation.turns] == [QUESTIONS[2]]


def test_turns_outlive_a_change_of_settings_and_can_be_forgotten(mini: Case) -> None:
    conversation = Conversation(keeps_turns=True)
    asked(mini, QUESTIONS[0], conversation)
    turns = list(conversation.turns)
    result = asked(mini, QUESTIONS[1], conversation, config=DENSE)
    assert_same_trace(result.trace, whole(mini, QUESTIONS[1], turns, DENSE).trace)
    conversation.forget_turns()
    alone = asked(mini, QUESTIONS[1], conversation, config=DENSE)
    assert alone.trace.meta.cached_tokens
    assert_same_trace(alone.trace, asked(mini, QUESTIONS[1], config=DENSE).trace)


def test_a_closed_conversation_holds_nothing_and_still_answers(mini: Case) -> None:
    conversation = Conversation(keeps_turns=True)
    asked(mini, QUESTIONS[0], conversation)
    assert conversation.nbytes > 0 and conversation._held is not None
    keys = weakref.ref(conversation._held[2].cache.layers[0].keys)
    conversation.close()
    gc.collect()
    assert conversation.nbytes == 0 and keys() is None and conversation.turns == []
    later = asked(mini, QUESTIONS[1], conversation)
    assert later.answer == asked(mini, QUESTIONS[1]).answer
    assert conversation.nbytes == 0 and conversation.turns == []


def test_what_is_held_is_one_cache_however_long_one_talks(mini: Case) -> None:
    conversation = Conversation()
    sizes = []
    for _ in range(3):
        asked(mini, QUESTIONS[0], conversation)
        sizes.append(conversation.nbytes)
    assert max(sizes) < 1.1 * sizes[0]


@contextmanager
def stopped_in_second_layer(engine: Engine) -> Iterator[threading.Event]:
    """Set when the second layer of a prefill begins, after the first was reported."""
    stop, loaded = threading.Event(), engine._checkpoint
    layers = getattr(loaded.model.model, loaded.family.text).layers
    handle = layers[1].register_forward_pre_hook(lambda *_: stop.set())
    try:
        yield stop
    finally:
        handle.remove()


@pytest.mark.few(2)
@pytest.mark.parametrize("number", [0, 1])
def test_a_question_stopped_in_its_prefill_spoils_nothing(case: Case, number: int) -> None:
    """The layers that it has reached are taken back; of a first one nothing is held."""
    conversation = Conversation(keeps_turns=True)
    asked(case, QUESTIONS[0])
    for question in QUESTIONS[:number]:
        asked(case, question, conversation)
    turns = list(conversation.turns)
    with stopped_in_second_layer(case.engine) as stop:
        events = list(
            case.engine.ask(
                case.clip, QUESTIONS[1], options(), stop=stop, conversation=conversation
            )
        )
    assert events == [Phase("prefill", 1, case.engine.layers)] and conversation.turns == turns
    result = asked(case, QUESTIONS[2], conversation)
    assert bool(result.trace.meta.cached_tokens) == bool(number)
    assert_same_trace(result.trace, whole(case, QUESTIONS[2], turns, SPARSE).trace)


def test_an_answer_that_was_stopped_stays_as_far_as_it_came(mini: Case) -> None:
    conversation, stop = Conversation(keeps_turns=True), threading.Event()
    with pytest.MonkeyPatch.context() as patch:
        # An end that never comes: the answer runs to its limit.
        patch.setattr(mini.engine._checkpoint.model.generation_config, "eos_token_id", None)
        for event in mini.engine.ask(
            mini.clip,
            QUESTIONS[0],
            options(max_new_tokens=500),
            stop=stop,
            conversation=conversation,
        ):
            if isinstance(event, Phase) and event.name == "generate" and event.done == 3:
                stop.set()
    assert isinstance(event, Result) and event.stopped
    (turn,) = conversation.turns
    assert 3 <= len(turn.answer_ids) < 500
    result = asked(mini, QUESTIONS[1], conversation)
    assert_same_trace(result.trace, whole(mini, QUESTIONS[1], [turn], SPARSE).trace)


def test_a_question_that_failed_leaves_nothing_behind(
    mini: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    conversation = Conversation(keeps_turns=True)
    asked(mini, QUESTIONS[0], conversation)

    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("out of luck")

    with monkeypatch.context() as patch:
        patch.setattr(engine_module, "generate", broken)
        with pytest.raises(RuntimeError, match="out of luck"):
            asked(mini, QUESTIONS[1], conversation)
    assert conversation.nbytes == 0 and len(conversation.turns) == 1
    result = asked(mini, QUESTIONS[1], conversation)
    assert result.trace.meta.cached_tokens is None


def test_a_gpu_without_memory_is_freed_of_conversations(
    mini: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Conversation(keeps_turns=True)
    asked(mini, QUESTIONS[0], held)

    def too_large(*_: Any, **__: Any) -> None:
        raise torch.cuda.OutOfMemoryError("no room")

    monkeypatch.setattr(engine_module, "generate", too_large)
    with pytest.raises(UserError, match="ran out of memory"):
        asked(mini, QUESTIONS[0])
    assert held.nbytes == 0 and len(held.turns) == 1


def test_a_conversation_that_no_longer_fits_is_said(
    mini: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    conversation = Conversation(keeps_turns=True)
    first = asked(mini, QUESTIONS[0], conversation)
    counts = first.trace.meta.counts
    monkeypatch.setattr(mini.engine._room, "context", counts.tokens + WORDS + 8)
    with pytest.raises(UserError, match="begin a new conversation"):
        asked(mini, QUESTIONS[0], conversation)
    conversation.forget_turns()
    assert asked(mini, QUESTIONS[0], conversation).answer == first.answer


def test_a_template_of_one_turn_is_said(mini: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    conversation = Conversation(keeps_turns=True)
    asked(mini, QUESTIONS[0], conversation)
    single = "<|video_pad|>{{ messages[-1]['content'][-1]['text'] }}"
    monkeypatch.setattr(mini.engine._checkpoint.tokenizer, "chat_template", single)
    with pytest.raises(UserError, match="chat template holds no conversation"):
        asked(mini, QUESTIONS[1], conversation)
