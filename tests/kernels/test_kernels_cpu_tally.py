"""What the compiled kernels count of a layer's choices, bit for bit those of its segments."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
import torch
from geometry import ODD, Scene, scenes, tensors
from hypothesis import given
from hypothesis import strategies as st
from tallied import Both, check_sums
from test_kernels_cpu import Recorded, run, two_threads  # noqa: F401

from adaspark.kernels.cpu import attention as cpu_attention
from adaspark.method import attention
from adaspark.method.rules import Rule, top_p
from adaspark.method.sequence import SequenceMap
from adaspark.method.tally import TallyObserver


def tallied(
    sequence: SequenceMap, rule: Rule, *, groups: int = 2, choice_bytes: int = 2**20
) -> Both:
    """A call by segments, and one that is told in sums where a part has video, and by segments
    where it is of text alone. Nobody need listen: the output is the same.
    """
    qkv = tensors(sequence, heads=2 * groups, groups=groups)
    attend = partial(cpu_attention.sparse_attention, *qkv, sequence, rule=rule, scale=8**-0.5)
    expected, recorded = run(cpu_attention.sparse_attention, sequence, qkv, rule)
    words: Recorded = []
    both = Both(sequence, recorded, [])
    observe = TallyObserver(lambda *choice: words.append(choice), both.tallies.append)
    found = attend(observe=observe, choice_bytes=choice_bytes)
    assert torch.equal(found, expected) and torch.equal(attend(), expected)
    check_words(both, words, atol=0.0)
    return both


def check_words(both: Both, words: Recorded, *, atol: float) -> None:
    """Text is told once, with the tally of its part or by itself."""
    told = [
        (segment, probs[0], kept[0])
        for tally in both.tallies
        if tally.words is not None
        for segment, probs, kept in tally.words.found([tally.words])
    ]
    for segment, choice in words:
        told.append((segment, choice.probs, choice.kept))
        expected = next(other for same, other in both.recorded if same is segment)
        assert choice.executed_pairs == expected.executed_pairs
    text = [one for one in both.recorded if one[0].is_text]
    for (segment, choice), (same, probs, kept) in zip(text, told, strict=True):
        assert segment is same and torch.equal(choice.kept, kept)
        torch.testing.assert_close(choice.probs, probs, atol=atol, rtol=0.0)
    assert len(both.segments) == len(both.recorded) - len(words)


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("choice_bytes", [2**20, 1])
@pytest.mark.parametrize("name", ODD)
def test_sums_are_those_of_the_segments(name: str, choice_bytes: int) -> None:
    check_sums(tallied(ODD[name].build(), top_p(0.6), choice_bytes=choice_bytes))


@given(scenes(), st.floats(0, 0.99), st.floats(0, 1))
def test_sums_of_any_shape_are_those_of_the_segments(scene: Scene, p: float, text: float) -> None:
    check_sums(tallied(scene.build(), Rule("top_p", p, text_amount=text), groups=1))


@pytest.mark.usefixtures("two_threads")
def test_sums_of_cubes_that_tiles_and_segments_share() -> None:
    """A slab of more than a segment's queries, in cubes that no tile ends with."""
    scene = Scene(((3, 20, 37),), (2, 3), (3, 3, 5))
    check_sums(tallied(scene.build(), top_p(0.5)))


@pytest.mark.parametrize("name", ODD)
def test_a_layer_that_keeps_everything_is_told_as_its_segments_would_be(name: str) -> None:
    sequence, everything = ODD[name].build(), top_p(1.0)
    queries, keys, _ = tensors(sequence, heads=4, groups=2)
    means, words = attention.cube_means(keys, sequence), []
    both = Both(sequence, [], [])
    for segment in sequence.segments(0):
        _, choice = attention.decide(queries, segment, means, 0, rule=everything, scale=8**-0.5)
        both.recorded.append((segment, replace(choice, executed_pairs=4 * segment.causal_pairs)))
    observe = TallyObserver(lambda *choice: words.append(choice), both.tallies.append)
    cpu_attention.report_dense(queries, means, sequence, observe, scale=8**-0.5)
    check_sums(both)
    check_words(both, words, atol=1e-6)
