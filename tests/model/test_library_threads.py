"""One sparse model, several threads: each call knows its own prompt, recordings hear them all."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from models import prompt, text_after, tiny_model
from torch import Tensor

from adaspark import Trace, record, sparsify
from adaspark.method.config import AdaSparkConfig, Grid
from adaspark.model.cache_names import cache_argument, cache_in

CUBE = (2, 2, 3)
SPARSE = AdaSparkConfig(CUBE, 0.5, 0.5)
GRIDS = [(5, 3, 7), (2, 4, 4), (1, 2, 2)]


@pytest.fixture(autouse=True)
def often_switched() -> Iterator[None]:
    """Threads take turns a thousand times as often."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(5e-6)
    yield
    sys.setswitchinterval(usual)


@pytest.fixture
def model() -> Any:
    return sparsify(tiny_model(), SPARSE)


@torch.no_grad()
def answer(model: Any, seed: int) -> list[list[int]]:
    """Four words, the positions given: the stock model keeps one offset for all threads."""
    inputs = prompt([GRIDS[seed % 3]], seed=seed)
    del inputs["pixel_values_videos"]
    words: list[Tensor] = []
    given, cache = {**inputs}, None
    for _ in range(4):
        asked = text_after(inputs, [int(w) for w in words]) if words else inputs
        positions, _ = model.model.get_rope_index(**asked)
        new = slice(None) if cache is None else slice(-1, None)
        output = model(
            input_ids=asked["input_ids"][:, new],
            mm_token_type_ids=asked["mm_token_type_ids"][:, new],
            position_ids=positions[..., new],
            **cache_argument(model, cache),
            **({"video_grid_thw": given["video_grid_thw"]} if cache is None else {}),
        )
        cache = cache_in(output)
        words.append(output.logits[0, -1].argmax())
    return [words[-1].tolist(), output.logits[0, -1].topk(5).indices.tolist()]


def test_threads_answer_as_one_after_the_other(model: Any) -> None:
    expected = [answer(model, seed) for seed in range(12)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda seed: answer(model, seed), range(12))) == expected


def test_a_text_and_a_video_at_one_time(model: Any) -> None:
    text = prompt([], seed=5)
    with torch.no_grad():
        dense = tiny_model()(**text).logits
        with ThreadPoolExecutor(2) as pool:
            videos = pool.map(lambda seed: answer(model, seed), range(6))
            texts = [pool.submit(lambda: model(**text).logits) for _ in range(6)]
            list(videos)
        assert all(torch.equal(found.result(), dense) for found in texts)


def run(*calls: Callable[[], Any]) -> None:
    threads = [threading.Thread(target=call) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def grids(trace: Trace) -> list[Grid]:
    return trace.meta.grids


def test_generation_in_a_thread_that_the_recording_started_is_heard(model: Any) -> None:
    inputs = prompt([GRIDS[0]])
    options: dict[str, Any] = {"max_new_tokens": 4, "do_sample": False}
    with record(model) as here:
        model.generate(**inputs, **options)
    with record(model) as there:
        run(lambda: model.generate(**inputs, **options))
    assert len(there.layers) == 3 and there.words == here.words
    assert (there.word_kept == here.word_kept).all()


def test_a_recording_in_another_thread_hears_too(model: Any) -> None:
    """As where a server records in one thread what another is asked for."""
    traces = []
    with record(model) as outer:
        run(lambda: [traces.append(outer), answer(model, 0)])
    assert grids(traces[0]) == [GRIDS[0]]


def test_threads_that_record_their_own_calls_do_not_mix(model: Any) -> None:
    traces: dict[int, Trace] = {}
    barrier = threading.Barrier(3)

    def work(seed: int) -> None:
        with record(model) as trace:
            barrier.wait()
            for _ in range(3):
                answer(model, seed)
        traces[seed] = trace

    run(*(lambda seed=seed: work(seed) for seed in range(3)))
    for seed, trace in traces.items():
        with record(model) as alone:
            answer(model, seed)
        assert grids(trace) == [GRIDS[seed]] and trace.words == alone.words
        assert (trace.word_kept == alone.word_kept).all()
        assert (trace.kept_share == alone.kept_share).all()


def test_one_recording_of_several_threads_holds_one_prompt_whole(model: Any) -> None:
    with record(model) as trace:
        run(*(lambda seed=seed: answer(model, seed) for seed in range(3)))
    seed = GRIDS.index(grids(trace)[0])
    with record(model) as alone:
        answer(model, seed)
    assert (trace.kept_share == alone.kept_share).all()
    assert (trace.ffn_kept == alone.ffn_kept).all()


def test_nested_recordings_of_two_models_hear_their_own(model: Any) -> None:
    other = sparsify(tiny_model(layers=2), SPARSE)
    with record(model) as first, record(other) as second:
        answer(model, 0)
        answer(other, 1)
    assert grids(first) == [GRIDS[0]] and len(first.layers) == 3
    assert grids(second) == [GRIDS[1]] and len(second.layers) == 2


def test_two_recordings_of_one_model_hear_both(model: Any) -> None:
    with record(model) as outer:
        with record(model) as inner:
            answer(model, 0)
        answer(model, 1)
    assert grids(inner) == [GRIDS[0]] and grids(outer) == [GRIDS[1]]


def test_a_prompt_and_the_words_of_another_do_not_mix(model: Any) -> None:
    """Decoding goes on with an earlier cache after a new prefill: the trace holds the latter."""
    with torch.no_grad(), record(model) as trace:
        cache = cache_in(model(**prompt([GRIDS[1]], seed=1)))
        model(**prompt([GRIDS[0]]))
        model(input_ids=torch.tensor([[3]]), **cache_argument(model, cache))
    assert grids(trace) == [GRIDS[0]]
    assert all(word.kind != "answer" for word in trace.words)


def test_a_recording_without_a_call_says_so(model: Any) -> None:
    with (
        pytest.warns(UserWarning, match="recorded no prompt: this model was not called inside"),
        record(model),
    ):
        pass


def test_a_recording_that_an_error_ends_says_nothing_of_its_own(model: Any) -> None:
    with pytest.raises(KeyError), record(model):
        raise KeyError


def test_a_text_alone_is_nothing_to_warn_of(model: Any) -> None:
    with record(model) as trace, torch.no_grad():
        model(**prompt([]))
    assert trace.layers == []
