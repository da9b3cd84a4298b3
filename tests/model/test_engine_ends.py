"""How a request ends before its answer: stopped, left, refused, out of memory."""

from __future__ import annotations

import re
import threading
import time
import weakref
from pathlib import Path
from typing import Any

import pytest
import torch
from engine_asked import CLIP, QUESTION, options, result_of

from adaspark.errors import UserError
from adaspark.kernels.cpu import tile_attention
from adaspark.method.config import AdaSparkConfig
from adaspark.method.interruption import RUN_OUT
from adaspark.model import engine as engine_module
from adaspark.model.engine import Engine
from adaspark.model.events import Phase, Result
from adaspark.model.out_of_memory import free_bytes, token_bytes
from adaspark.model.request import Event


class Awaited(threading.Event):
    """Looked at no sooner than whoever hears of the work could have set it: the work itself is in
    another thread, and a short one may be over before its first event is heard.
    """

    def is_set(self) -> bool:
        return self.wait(0.2)


@pytest.mark.parametrize("phase", ["decode", "vision", "prefill"])
def test_stopping_before_the_first_word_ends_with_nothing(engine: Engine, phase: str) -> None:
    stop, seen = Awaited(), []
    # Other frames for each phase, so that nothing comes from the cache.
    frames = {"decode": 10, "vision": 12, "prefill": 14}[phase]
    for event in engine.ask(CLIP, QUESTION, options(max_frames=frames), stop=stop):
        seen.append(event)
        if isinstance(event, Phase) and event.name == phase:
            stop.set()
    assert not any(isinstance(event, Result) for event in seen) or phase == "prefill"
    assert result_of(engine.ask(CLIP, QUESTION, options())).answer  # and the engine is free


def test_stopping_within_attention_begins_no_further_tile(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop, begun = threading.Event(), []
    whole = tile_attention.attend

    def stopped(*given: Any) -> None:
        *_, executed, counter = given
        executed.fill(-1)
        stop.set()
        while counter[0] < RUN_OUT:
            time.sleep(0.001)
        whole(*given)
        begun.append((executed >= 0).sum())

    with monkeypatch.context() as patch:
        patch.setattr(tile_attention, "attend", stopped)
        events = [*engine.ask(CLIP, QUESTION, options(), stop=stop)]
    assert begun == [0] * torch.get_num_threads()
    assert not any(isinstance(event, Result) for event in events)
    assert result_of(engine.ask(CLIP, QUESTION, options())).answer


def test_stopping_in_a_layers_attention_begins_no_ffn(engine: Engine) -> None:
    stop, begun = threading.Event(), []
    layers = engine._checkpoint.model.model.language_model.layers
    handles = [
        layers[1].self_attn.register_forward_hook(lambda *_: stop.set()),
        *(
            layer.mlp.register_forward_hook(lambda *_, at=at: begun.append(at))
            for at, layer in enumerate(layers)
        ),
    ]
    events = [*engine.ask(CLIP, QUESTION, options(), stop=stop)]
    for handle in handles:
        handle.remove()
    assert begun == [0] and not any(isinstance(event, Result) for event in events)


def test_stopping_among_the_words_gives_what_there_is(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    # An end that never comes: every answer runs to its limit.
    monkeypatch.setattr(engine._checkpoint.model.generation_config, "eos_token_id", None)
    stop, limit = threading.Event(), 4000
    for event in engine.ask(CLIP, QUESTION, options(max_new_tokens=limit), stop=stop):
        if isinstance(event, Phase) and event.name == "generate" and event.done >= 2:
            stop.set()
    assert isinstance(event, Result) and event.stopped and event.trace.meta.stopped
    answered = [word for word in event.trace.words if word.kind == "answer"]
    assert 1 <= len(answered) < limit


def test_a_consumer_that_goes_away_frees_the_engine(engine: Engine) -> None:
    stream = engine.ask(CLIP, QUESTION, options())
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert result_of(engine.ask(CLIP, QUESTION, options())).answer


def test_requests_wait_their_turn(engine: Engine, events: list[Event]) -> None:
    answers: list[str] = []
    threads = [
        threading.Thread(
            target=lambda: answers.append(result_of(engine.ask(CLIP, QUESTION, options())).answer)
        )
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [result_of(events).answer] * 3


def test_an_error_inside_the_work_reaches_the_consumer(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("out of luck")

    monkeypatch.setattr(engine_module, "generate", broken)
    with pytest.raises(RuntimeError, match="out of luck"):
        list(engine.ask(CLIP, QUESTION, options()))


REFUSED: dict[str, tuple[str, dict[str, Any]]] = {
    "The question is blank": (" \n\t", {}),
    "The question is not valid Unicode": ("red \udcff", {}),
    "min_pixels must be at least 784, got 3": (QUESTION, {"min_pixels": 3}),
    "min_pixels is 9,000 and max_pixels only 8,000": (
        QUESTION,
        {"min_pixels": 9000, "max_pixels": 8000},
    ),
    "max_video_tokens must be at least 1, got 0": (QUESTION, {"max_video_tokens": 0}),
    r"take \d+ tokens at their smallest and max_video_tokens is 3": (
        QUESTION,
        {"max_video_tokens": 3},
    ),
    "max_new_tokens must be at least 1, got 0": (QUESTION, {"max_new_tokens": 0}),
    "fps must be above 0 and at most 120, got -1": (QUESTION, {"fps": -1.0}),
    "fps must be above 0 and at most 120, got nan": (QUESTION, {"fps": float("nan")}),
    "max_frames must be at least 1, got 0": (QUESTION, {"max_frames": 0}),
    "Thresholds are given for 2 layers and this model has 6": (
        QUESTION,
        {"config": AdaSparkConfig(ffn_top_p=(0.5, 0.5))},
    ),
}


@pytest.mark.parametrize("message", REFUSED)
def test_bad_values_are_refused_before_any_work(engine: Engine, message: str) -> None:
    question, changes = REFUSED[message]
    with pytest.raises(UserError, match=message):
        engine.ask(CLIP, question, options(**changes))


def test_a_missing_video_is_refused_before_any_work(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no readable file"):
        engine.ask(tmp_path / "none.mp4", QUESTION)


def test_more_tokens_than_the_model_holds_are_refused_with_what_fits(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine._room, "max_video_tokens", 100)
    with pytest.raises(UserError, match=r"takes \d+ tokens and the model holds 100.*at most \d"):
        engine.ask(CLIP, QUESTION, options())
    fitting = engine.fitting_frames(engine.estimate(CLIP))
    assert engine.estimate(CLIP, max_frames=fitting).video_tokens < 100


@pytest.mark.parametrize(
    ("question", "words"), [("a " * 40_000, 4), (QUESTION, 32_768)], ids=["question", "answer"]
)
def test_video_question_and_answer_together_fit_the_context(
    engine: Engine, question: str, words: int
) -> None:
    with pytest.raises(UserError, match=r"tokens of video, .* of text and an answer of up to"):
        engine.ask(CLIP, question, options(max_new_tokens=words))


@pytest.mark.parametrize("free_gigabytes", [0.0, 0.1, 64.0])
def test_out_of_memory_frees_what_is_kept_and_names_what_fits(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, free_gigabytes: float
) -> None:
    def short(*_: Any, **__: Any) -> None:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    free = int(free_gigabytes * 1e9)
    monkeypatch.setattr(engine_module, "generate", short)
    monkeypatch.setattr(engine_module, "free_bytes", lambda *_: free)
    asked = options(max_frames=8)
    with pytest.raises(UserError, match="ran out of memory") as told:
        list(engine.ask(CLIP, QUESTION, asked))
    assert engine._cache._store.held_bytes == 0
    estimate = engine.estimate(CLIP, max_frames=8)
    each = token_bytes(engine._checkpoint.model.config.text_config, 4)
    fitting = int(free / each) * estimate.frames // estimate.video_tokens
    frames = re.search(r"at most (\d+) frames", str(told.value))
    if frames is None:
        assert fitting < 2
    else:
        assert 2 <= int(frames[1]) <= min(fitting, estimate.frames - 1) and int(frames[1]) % 2 == 0
    monkeypatch.undo()
    result_of(engine.ask(CLIP, QUESTION, asked))  # it goes on


def test_what_led_to_an_error_is_let_go() -> None:
    class Large:
        pass

    def fail() -> None:
        held = Large()
        gone.append(weakref.ref(held))
        raise MemoryError

    gone: list[Any] = []
    try:
        fail()
    except MemoryError as error:
        assert gone[0]() is not None
        assert free_bytes(error, torch.device("cpu")) == 0 and gone[0]() is None
