"""What is recorded of a layer at once: sums of its choices, bit for bit those of its segments."""

from __future__ import annotations

from dataclasses import dataclass, replace

import interpreted
import pytest
import torch
from geometry import ODD, Scene, tensors
from long import some_of
from test_kernels_gpu import BIG, on_device, poison  # noqa: F401

from adaspark.kernels.gpu import attention as gpu_attention
from adaspark.kernels.gpu.thresholds import Thresholds
from adaspark.method.attention import Choice
from adaspark.method.rules import Rule, top_p
from adaspark.method.segment import Segment
from adaspark.method.selection import entropy
from adaspark.method.sequence import SequenceMap
from adaspark.method.tally import Tally, TallyObserver

DEVICE = interpreted.DEVICE
UNGROUPED = Thresholds(grouped_rows=0)
NAMES = ("ragged", "smaller than a cube", "no video", "padded", "two videos, text between")
SCENES = {name: ODD[name] for name in NAMES} | {
    "big cubes": BIG,
    "slivers": Scene(((2, 4, 6),), (2, 7), (1, 1, 3)),
}


@dataclass
class Both:
    """One call reported twice: by segments, and in sums."""

    sequence: SequenceMap
    recorded: list[tuple[Segment, Choice]]
    tallies: list[Tally]

    def attended(self) -> torch.Tensor:
        """int64 [C, C] by query cube, from the segments."""
        cubes = self.sequence.layout.cubes
        found = torch.zeros(cubes, cubes, dtype=torch.long, device=DEVICE)
        for segment, choice in self.recorded:
            for row, own in enumerate(segment.own_cube.tolist()):
                if own >= 0:
                    chosen = choice.kept[:, row] | segment.own_mask[row]
                    found[own, : segment.end_cube] += chosen.sum(0)
        return found

    def pairs(self) -> tuple[int, int]:
        """Keys of cubes that are attended to, one by one; and what was multiplied."""
        layout, chosen = self.sequence.layout, 0
        for segment, choice in self.recorded:
            seen = layout.cube_from_token < segment.end_cube
            attended = (choice.kept | segment.own_mask)[..., layout.cube_from_token[seen]]
            token = torch.arange(int(seen.sum()), device=DEVICE)
            chosen += int((attended & (token < segment.video_before[:, None])).sum())
        return chosen, sum(choice.executed_pairs for _, choice in self.recorded)


def reported(
    scene: Scene, rule: Rule, thresholds: Thresholds = UNGROUPED, *, groups: int = 1
) -> Both:
    """By two query heads for each KV head."""
    sequence = on_device(scene)
    qkv = [t.to(DEVICE) for t in tensors(sequence, heads=2 * groups, groups=groups, width=16)]
    both = Both(sequence, [], [])
    ways = (
        lambda *one: both.recorded.append(one),
        TallyObserver(lambda *one: pytest.fail("reported by segments"), both.tallies.append),
    )
    for observe in ways:
        gpu_attention.sparse_attention(
            *qkv, sequence, rule=rule, scale=0.25, observe=observe, thresholds=thresholds
        )
    return both


def check(both: Both) -> None:
    cubes = both.sequence.layout.cubes
    attended = torch.zeros(cubes, cubes, dtype=torch.long, device=DEVICE)
    for tally in both.tallies:
        rows = slice(tally.first_cube, tally.first_cube + len(tally.attended))
        attended[rows, : tally.attended.shape[1]] += tally.attended
    assert torch.equal(attended, both.attended())
    pairs = torch.stack([tally.pairs() for tally in both.tallies]).sum(0).tolist()
    assert tuple(pairs) == both.pairs()
    expected = [entropy(choice.probs) for segment, choice in both.recorded if not segment.is_text]
    found = torch.cat([tally.entropies for tally in both.tallies], 1)
    expected = torch.cat(expected or [found[:, :0]], 1)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-6)
    words = [one for tally in both.tallies for one in tally.words.found([tally.words])]
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
