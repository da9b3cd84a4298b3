"""What is recorded of a layer at once: sums of its choices, bit for bit those of its segments."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import interpreted
import pytest
import torch
from geometry import ODD, Scene, tensors
from long import some_of
from tallied import Both, check_sums
from test_kernels_gpu import BIG, on_device, poison  # noqa: F401

from adaspark.kernels.gpu import attention as gpu_attention
from adaspark.kernels.gpu.thresholds import Thresholds
from adaspark.method.rules import Rule, top_p
from adaspark.method.tally import TallyObserver

DEVICE = interpreted.DEVICE
UNGROUPED = Thresholds(grouped_rows=0)
NAMES = ("ragged", "smaller than a cube", "no video", "padded", "two videos, text between")
SCENES = {name: ODD[name] for name in NAMES} | {
    "big cubes": BIG,
    "slivers": Scene(((2, 4, 6),), (2, 7), (1, 1, 3)),
}


def reported(
    scene: Scene, rule: Rule, thresholds: Thresholds = UNGROUPED, *, groups: int = 1
) -> Both:
    """By two query heads for each KV head."""
    sequence = on_device(scene)
    qkv = [t.to(DEVICE) for t in tensors(sequence, heads=2 * groups, groups=groups, width=16)]
    both, later = Both(sequence, [], []), list[Any]()
    ways = (
        lambda *one: both.recorded.append(one),
        TallyObserver(lambda *one: pytest.fail("reported by segments"), later.append),
    )
    for observe in ways:
        gpu_attention.sparse_attention(
            *qkv, sequence, rule=rule, scale=0.25, observe=observe, thresholds=thresholds
        )
    both.tallies.extend(found.tally for found in later)
    return both


def check(both: Both) -> None:
    check_sums(both)
    found = [tally.words for tally in both.tallies if tally.words is not None]
    words = [one for later in found for one in later.found([later])]
    text = [one for one in both.recorded if one[0].is_text]
    for (_, choice), (_, probs, kept) in zip(text, words, strict=True):
        assert torch.equal(kept[0], choice.kept)
        torch.testing.assert_close(probs[0], choice.probs)


@pytest.mark.few
@pytest.mark.usefixtures("poison")
@some_of("name", SCENES, always=3)
def test_sums_are_those_of_the_segments(name: str) -> None:
    check(reported(SCENES[name], top_p(0.6)))


@pytest.mark.long
@pytest.mark.usefixtures("poison")
def test_sums_of_several_groups_of_heads() -> None:
    check(reported(SCENES["padded"], top_p(0.6), groups=2))


@pytest.mark.usefixtures("poison")
def test_sums_of_other_rules() -> None:
    check(reported(SCENES["ragged"], Rule("uniform", 0.4)))


@pytest.mark.long
@pytest.mark.usefixtures("poison")
def test_sums_of_any_number_of_chunks() -> None:
    small = replace(UNGROUPED, selection_bytes=1, score_bytes=1)
    both = reported(SCENES["two videos, text between"], top_p(0.6), small)
    assert len(both.tallies) > 3
    check(both)
