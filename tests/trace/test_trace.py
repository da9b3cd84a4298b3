"""What is recorded, against a direct computation from the queries and keys; and the file."""

from __future__ import annotations

import contextvars
import json
import math
import threading
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from models import prompt, text_after, tiny_model
from torch import Tensor

from adaspark import record, sparsify
from adaspark.errors import UserError
from adaspark.kernels import backend
from adaspark.method import reference
from adaspark.method.config import AdaSparkConfig
from adaspark.method.rules import top_p
from adaspark.method.sequence import SequenceMap
from adaspark.trace import recorder
from adaspark.trace.meta import Counts
from adaspark.trace.trace import Trace

GRIDS = [(3, 2, 4), (1, 3, 2)]
P = 0.6
HEADS, LAYERS = 4, 2


class Spy:
    """The tensors that the method was given, and what the slow reference makes of them."""

    def __init__(self) -> None:
        self.attended: list[tuple[Tensor, Tensor, SequenceMap]] = []
        self.ffns: list[tuple[Tensor, Tensor]] = []

        def attention_spy(q: Tensor, k: Tensor, v: Tensor, s: SequenceMap, **options: Any) -> Any:
            self.attended.append((q.clone(), k.clone(), s))
            return backend.fastest_attention(q, k, v)(q, k, v, s, **options)

        def ffn_spy(x: Tensor, norms: Tensor, s: SequenceMap, branch: Any, **options: Any) -> Any:
            _, kept, weights = reference.sparse_ffn(x, norms, s, branch, **options)
            self.ffns.append((kept, weights))
            return backend.fastest_ffn(x)(x, norms, s, branch, **options)

        self.backend = backend.Implementation(attention_spy, ffn_spy)

    def choices(self, layer: int) -> tuple[dict[int, np.ndarray], dict[int, np.ndarray]]:
        """By position: probabilities [H, C], and the kept cubes likewise."""
        probs, kept = {}, {}
        for q, k, sequence in self.attended[layer::LAYERS]:
            layout, video = sequence.layout, sequence.video_positions
            means = torch.stack(
                [k[:, video[layout.cube_from_token == c]].mean(1) for c in range(layout.cubes)], 1
            )
            start = sequence.length - q.shape[1]
            for position in range(start, sequence.length):
                seen = layout.cube_from_token[video <= position].unique().tolist()
                own = layout.cube_from_token[video == position].tolist()
                candidates = [c for c in seen if c not in own]
                rows = [
                    reference.choose(
                        q[head, position - start],
                        means[head // (HEADS // k.shape[0])],
                        candidates,
                        rule=top_p(P),
                        scale=q.shape[-1] ** -0.5,
                    )
                    for head in range(HEADS)
                ]
                probs[position] = np.array([mass for mass, _ in rows])
                kept[position] = np.array([[c in s for c in range(layout.cubes)] for _, s in rows])
        return probs, kept


@pytest.fixture(scope="module")
def model() -> Any:
    model = tiny_model(heads=HEADS, kv_heads=2, layers=LAYERS)
    return sparsify(model, AdaSparkConfig((2, 2, 2), P, P))


@pytest.fixture(scope="module")
def run(model: Any) -> tuple[Trace, Spy, list[int]]:
    """A prompt of two videos, and three words after it."""
    inputs = prompt(GRIDS)
    spy = Spy()
    with backend.use_backend(spy.backend), record(model) as trace, torch.no_grad():
        written = model.generate(**inputs, max_new_tokens=4, do_sample=False)
    return trace, spy, written[0, :-1].tolist()  # the last word was never read


def entropies(mass: np.ndarray) -> np.ndarray:
    """Shannon entropy in nats of each row."""
    return -(mass * np.log(np.where(mass > 0, mass, 1.0))).sum(-1)


def test_geometry_and_words(run: tuple[Trace, Spy, list[int]]) -> None:
    trace, spy, ids = run
    layout = spy.attended[0][2].layout
    assert trace.cube_from_token.tolist() == layout.cube_from_token.tolist()
    assert trace.bounds.tolist() == layout.bounds.tolist()
    assert trace.query_cubes.tolist() == list(range(layout.cubes))
    assert trace.meta.grids == GRIDS
    assert not trace.meta.sampled_query_cubes
    text = [at for at, token in enumerate(ids) if token != 96]
    assert [word.position for word in trace.words] == text
    assert [word.id for word in trace.words] == [ids[at] for at in text]
    kinds = [word.kind for word in trace.words]
    # Three tokens and a start before the first video; between and after, it is the question's.
    assert kinds == ["prompt"] * 4 + ["question"] * (len(text) - 7) + ["answer"] * 3


def test_words_chose_what_the_reference_chooses(run: tuple[Trace, Spy, list[int]]) -> None:
    trace, spy, _ = run
    for layer in range(LAYERS):
        probs, kept = spy.choices(layer)
        for index, word in enumerate(trace.words):
            at = word.position
            np.testing.assert_allclose(trace.word_probs[layer, index], probs[at], atol=1e-3)
            assert (trace.word_mask()[layer, index] == kept[at]).all()
            count = int((probs[at][0] > 0).sum())
            if count < 2:
                assert np.isnan(trace.word_entropy[layer, index])
                continue
            spread = entropies(probs[at])
            expected = (spread / math.log(count)).mean()
            np.testing.assert_allclose(trace.word_entropy[layer, index], expected, atol=1e-4)
            effective = np.exp(spread).mean()
            np.testing.assert_allclose(trace.word_effective[layer, index], effective, rtol=1e-4)


def test_cubes_attended_to_what_the_reference_chooses(run: tuple[Trace, Spy, list[int]]) -> None:
    trace, spy, _ = run
    sequence = spy.attended[0][2]
    cubes = sequence.layout.cube_from_token.numpy()
    for layer in range(LAYERS):
        probs, kept = spy.choices(layer)
        for cube in range(len(trace.bounds)):
            places = sequence.video_positions[cubes == cube].tolist()
            attended = sum(kept[at] | (np.arange(len(trace.bounds)) == cube) for at in places)
            share = attended.sum(0) / (HEADS * len(places))
            assert (trace.kept_share[layer, cube] == np.rint(share * 255)).all()
            free = [at for at in places if (probs[at][0] > 0).sum() > 1]
            if not free:
                assert np.isnan(trace.cube_entropy[layer, cube])
                assert np.isnan(trace.cube_effective[layer, cube])
                continue
            spread = [
                (entropies(probs[at]) / math.log((probs[at][0] > 0).sum())).mean() for at in free
            ]
            effective = [np.exp(entropies(probs[at])).mean() for at in free]
            np.testing.assert_allclose(trace.cube_entropy[layer, cube], np.mean(spread), atol=1e-4)
            np.testing.assert_allclose(
                trace.cube_effective[layer, cube], np.mean(effective), rtol=1e-4
            )


def test_pairs_are_counted_one_by_one(run: tuple[Trace, Spy, list[int]]) -> None:
    trace, spy, _ = run
    sequence = spy.attended[0][2]
    cube_from_position = dict(
        zip(
            sequence.video_positions.tolist(), sequence.layout.cube_from_token.tolist(), strict=True
        )
    )
    weighed = 0
    for layer in range(LAYERS):
        probs, kept = spy.choices(layer)
        computed = 0
        for query in range(sequence.length):
            weighed += int((probs[query] > 0).sum())
            for key in range(query + 1):
                cube = cube_from_position.get(key)
                free = cube is None or cube == cube_from_position.get(query)
                computed += HEADS if free else int(kept[query][:, cube].sum())
        assert trace.computed_pairs[layer] == computed
        assert trace.causal_pairs[layer] == HEADS * sequence.length * (sequence.length + 1) // 2
        assert trace.executed_pairs[layer] >= computed
    text = sequence.length - len(sequence.video_positions)
    assert trace.meta.counts == Counts(sequence.length, text, weighed)
    assert trace.attention_density == trace.computed_pairs.sum() / trace.causal_pairs.sum()


def test_ffn_choices_are_those_of_the_reference(run: tuple[Trace, Spy, list[int]]) -> None:
    trace, spy, _ = run
    cubes = trace.cube_from_token
    assert len(spy.ffns) == LAYERS  # decoding brings text alone
    for layer, (kept, weights) in enumerate(spy.ffns):
        assert (trace.ffn_mask()[layer] == kept.numpy()).all()
        np.testing.assert_allclose(trace.ffn_importance[layer], weights.numpy(), atol=1e-3)
        assert trace.layers[layer].ffn_density == pytest.approx(kept.float().mean().item())
        for cube in range(len(trace.bounds)):
            mass = weights[cubes == cube].numpy()
            expected = entropies(mass) / math.log(len(mass))
            np.testing.assert_allclose(trace.ffn_entropy[layer, cube], expected, atol=1e-4)
    assert trace.ffn_density == pytest.approx(np.mean([k.float().mean() for k, _ in spy.ffns]))


def test_layers_tell_the_means_of_what_is_defined(run: tuple[Trace, Spy, list[int]]) -> None:
    trace, _, _ = run
    for i, layer in enumerate(trace.layers):
        assert layer.attention_density == trace.computed_pairs[i] / trace.causal_pairs[i]
        assert layer.attention_entropy == pytest.approx(np.nanmean(trace.cube_entropy[i]))
        assert layer.ffn_entropy == pytest.approx(np.nanmean(trace.ffn_entropy[i]))


def test_arrays_have_the_dtypes_and_axes_of_the_format(run: tuple[Trace, Spy, list[int]]) -> None:
    trace, _, _ = run
    cubes, words = len(trace.bounds), len(trace.words)
    tokens = len(trace.cube_from_token)
    axes = {"L": LAYERS, "C": cubes, "Q": cubes, "V": tokens, "W": words, "H": HEADS}
    axes |= {"X": sum(word.kind != "answer" for word in trace.words)}
    axes |= {"S": sum(grid[0] for grid in GRIDS), "F": 2, "7": 7}
    for field in fields(trace):
        if field.name == "meta":
            continue
        array = getattr(trace, field.name)
        assert array.dtype == field.metadata["dtype"], field.name
        packed = -(-(tokens if field.name == "ffn_kept" else cubes) // 8)
        shape = [axes.get(axis, packed) for axis in field.metadata["shape"].split()]
        assert list(array.shape) == shape, field.name


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
        cache = model(**prompt(GRIDS)).past_key_values
        with (
            pytest.warns(UserWarning, match=r"recorded no prompt: it was prefilled before"),
            record(model) as trace,
        ):
            model(input_ids=torch.tensor([[3]]), past_key_values=cache)
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
    monkeypatch.setattr(recorder, "QUERY_TABLE_BYTES", LAYERS * cubes * 5)
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


def assert_same(one: Trace, other: Trace) -> None:
    assert one.meta == other.meta
    for field in fields(Trace):
        if field.name != "meta":
            mine, theirs = getattr(one, field.name), getattr(other, field.name)
            assert mine.dtype == theirs.dtype
            np.testing.assert_array_equal(mine, theirs, err_msg=field.name)


def test_a_trace_survives_its_file(run: tuple[Trace, Spy, list[int]], tmp_path: Path) -> None:
    trace, _, _ = run
    trace.save(tmp_path / "run.npz")
    loaded = Trace.load(tmp_path / "run.npz")
    assert_same(loaded, trace)
    assert loaded.attention_density == trace.attention_density
    assert [path.name for path in tmp_path.iterdir()] == ["run.npz"]


def test_an_empty_trace_survives_its_file(tmp_path: Path) -> None:
    Trace().save(tmp_path / "empty.npz")
    assert_same(Trace.load(tmp_path / "empty.npz"), Trace())


@pytest.mark.parametrize("version", [0, 2, "next", None])
def test_an_unknown_schema_is_refused_by_name(tmp_path: Path, version: Any) -> None:
    path = tmp_path / "old.npz"
    np.savez(path, meta=np.array(json.dumps({"schema_version": version})))
    with pytest.raises(UserError, match=rf"trace schema {version!r}, this version reads 1"):
        Trace.load(path)


BAD_FILES = {
    "empty": b"",
    "text": b"words, and no archive",
    "cut": b"PK\x03\x04" + bytes(40),
    "a folder of nothing": b"PK\x05\x06" + bytes(18),
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_a_file_that_is_no_trace_is_refused_in_one_sentence(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "bad.npz"
    path.write_bytes(BAD_FILES[kind])
    with pytest.raises(UserError, match=r"bad\.npz is not a trace of AdaSpark"):
        Trace.load(path)


def test_other_numpy_files_and_missing_files_are_refused_too(tmp_path: Path) -> None:
    np.save(tmp_path / "array.npy", np.zeros(3))
    np.savez(tmp_path / "other.npz", values=np.zeros(3))
    np.savez(tmp_path / "odd.npz", meta=np.array("[1, 2]"))
    for name in ("array.npy", "other.npz", "odd.npz", "missing.npz"):
        with pytest.raises(UserError, match="is not a trace of AdaSpark"):
            Trace.load(tmp_path / name)


def test_a_damaged_trace_is_refused(run: tuple[Trace, Spy, list[int]], tmp_path: Path) -> None:
    path = tmp_path / "run.npz"
    run[0].save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="is not a trace"):
        Trace.load(path)
    middle = len(whole) // 2
    path.write_bytes(whole[:middle] + bytes(200) + whole[middle + 200 :])
    with pytest.raises(UserError, match="is not a trace"):
        Trace.load(path)
