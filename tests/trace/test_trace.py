"""What is recorded, against a direct computation from the queries and keys."""

from __future__ import annotations

import math
from dataclasses import fields

import numpy as np
import pytest
from recorded import GRIDS, HEADS, LAYERS, Spy
from trace_factory import make_trace

from adaspark.trace.meta import Counts
from adaspark.trace.trace import Trace


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
    axes |= {"K": cubes}  # a small table lists them all
    axes |= {"X": sum(word.kind != "answer" for word in trace.words)}
    axes |= {"S": sum(grid[0] for grid in GRIDS), "F": 2, "7": 7}
    for field in fields(trace):
        if field.name == "meta":
            continue
        array = getattr(trace, field.name)
        assert array.dtype == field.metadata["dtype"], field.name
        packed = -(-(tokens if field.name == "ffn_kept" else cubes) // 8)
        shape = [axes.get(axis, packed) for axis in field.metadata["shape"].split()]
        if field.name in ("word_cubes", "word_heads", "dense_mass"):
            shape = [0] * len(shape)
        assert list(array.shape) == shape, field.name


def test_an_answers_word_is_the_output_of_the_query_before_it() -> None:
    trace = make_trace(layers=1, tail=["<end>", "assistant"])
    texts = [trace.words[row].text for row in trace.answer_queries()]
    assert texts == ["assistant", " the", " circle", " is"]
    trace.words[8].position = -1  # of "assistant"
    assert trace.answer_queries().tolist()[0] == -1
    assert make_trace(layers=1, answer=()).answer_queries().size == 0
