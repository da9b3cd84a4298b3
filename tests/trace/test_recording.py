"""What is recorded of which calls: other prompts, models and threads, speculation, large tables."""

from __future__ import annotations

import contextvars
import math
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from models import prompt, text_after, tiny_model
from recorded import GRIDS, HEADS, LAYERS, P, Spy, assert_same

from adaspark import record, sparsify
from adaspark.method.config import AdaSparkConfig
from adaspark.model.cache_names import cache_argument, cache_in
from adaspark.trace import recorder_table
from adaspark.trace.trace import Trace


def test_dense_runs_record_probabilities_and_full_shares(model: Any) -> None:
    dense = sparsify(
        tiny_model(heads=HEADS, kv_heads=2, layers=LAYERS), AdaSparkConfig((2, 2, 2), 1, 1)
    )
    with record(dense) as trace, torch.no_grad():
        dense(**prompt(GRIDS))
    assert trace.attention_density == trace.ffn_density == 1.0
    assert trace.computed_pairs.tolist() == trace.causal_pairs.tolist()
    chosen = trace.word_probs.sum(-1) > 0.5
    assert chosen.any() and np.nanmax(trace.cube_entropy) < 1
    assert (
        trace.kept_share[:, np.arange(len(trace.bounds)), np.arange(len(trace.bounds))].min() == 255
    )


def test_a_second_prompt_starts_the_trace_afresh(model: Any) -> None:
    with record(model) as once, torch.no_grad():
        model(**prompt([(2, 2, 2)]))
    with record(model) as twice, torch.no_grad():
        model.generate(**prompt(GRIDS), max_new_tokens=2)
        model(**prompt([(2, 2, 2)]))
    assert_same(once, twice)


def test_decoding_of_a_prompt_from_before_is_not_recorded(model: Any) -> None:
    with torch.no_grad():
        cache = cache_in(model(**prompt(GRIDS)))
        with (
            pytest.warns(UserWarning, match=r"recorded no prompt: it was prefilled before"),
            record(model) as trace,
        ):
            model(input_ids=torch.tensor([[3]]), **cache_argument(model, cache))
    assert trace.words == [] and trace.layers == []


def test_words_that_speculation_takes_back_are_not_told(model: Any) -> None:
    inputs = prompt(GRIDS)
    options: dict[str, Any] = {"max_new_tokens": 8, "do_sample": False}
    with torch.no_grad():
        with record(model) as plain:
            written = model.generate(**inputs, **options)
        with record(model) as guessed:
            model.generate(**inputs, **options, prompt_lookup_num_tokens=3)
    known = written[0].tolist()
    positions = [word.position for word in guessed.words]
    assert positions == sorted(set(positions))
    shared = min(len(plain.words), len(guessed.words))
    for word in guessed.words[:shared]:
        assert word.id == known[word.position]
    np.testing.assert_allclose(
        guessed.word_probs[:, :shared], plain.word_probs[:, :shared], atol=2e-3
    )


def test_a_trace_is_that_of_one_longer_prefill(
    run: tuple[Trace, Spy, list[int]], model: Any
) -> None:
    trace, _, ids = run
    inputs = prompt(GRIDS)
    answer = ids[inputs["input_ids"].shape[1] :]
    with record(model) as whole, torch.no_grad():
        model(**text_after(inputs, answer))
    assert (whole.word_mask() == trace.word_mask()).all()
    np.testing.assert_allclose(whole.word_probs, trace.word_probs, atol=2e-3)


def test_a_large_table_is_an_even_sample_that_says_so(
    model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = prompt([(8, 4, 4)])
    with record(model) as whole, torch.no_grad():
        model(**inputs)
    cubes = len(whole.bounds)
    monkeypatch.setattr(recorder_table, "QUERY_TABLE_BYTES", LAYERS * cubes * 5)
    with record(model) as sample, torch.no_grad():
        model(**inputs)
    assert sample.meta.sampled_query_cubes and sample.kept_share.nbytes <= LAYERS * cubes * 5
    assert sample.query_cubes[0] == 0 and sample.query_cubes[-1] == cubes - 1
    assert (sample.kept_share == whole.kept_share[:, sample.query_cubes]).all()
    assert sample.attention_density == whole.attention_density


def in_thread(call: Callable[[], Any]) -> None:
    thread = threading.Thread(target=call)
    thread.start()
    thread.join()


@torch.no_grad()
def call_model(model: Any) -> None:
    with torch.no_grad():
        model(**prompt(GRIDS))


def test_a_thread_is_recorded_with_its_context_or_without(model: Any) -> None:
    for context in (None, contextvars.copy_context()):
        run = (lambda call, *given: call(*given)) if context is None else context.run
        with record(model) as heard:
            in_thread(lambda run=run: run(call_model, model))
        assert len(heard.layers) == LAYERS


def test_recordings_in_two_threads_do_not_mix() -> None:
    shapes, traces, barrier = [(2, 2, 2), (3, 4, 4)], {}, threading.Barrier(2)

    def work(grid: tuple[int, int, int]) -> None:
        model = sparsify(tiny_model(layers=1), AdaSparkConfig((1, 2, 2), P, P))
        with record(model) as trace, torch.no_grad():
            barrier.wait()
            for _ in range(3):
                model(**prompt([grid]))
        traces[grid] = trace

    threads = [threading.Thread(target=work, args=(grid,)) for grid in shapes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for grid in shapes:
        assert traces[grid].meta.grids == [grid]
        assert len(traces[grid].cube_from_token) == math.prod(grid)


def test_another_model_is_not_heard(model: Any) -> None:
    other = sparsify(tiny_model(), AdaSparkConfig((2, 2, 2), P, P))
    with (
        pytest.warns(UserWarning, match=r"recorded no prompt: this model was not called"),
        record(model) as trace,
        torch.no_grad(),
    ):
        other(**prompt(GRIDS))
    assert trace.layers == []
