"""One call of a layer reported twice, by segments and in sums; both must say the same."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from adaspark.method.attention import Choice
from adaspark.method.segment import Segment
from adaspark.method.selection import entropy
from adaspark.method.sequence import SequenceMap
from adaspark.method.tally import Tally


@dataclass
class Both:
    """What was reported by segments, and in sums."""

    sequence: SequenceMap
    recorded: list[tuple[Segment, Choice]]
    tallies: list[Tally]

    @property
    def segments(self) -> list[tuple[Segment, Choice]]:
        """Those that the tallies speak of, in their order."""
        told = {id(segment) for tally in self.tallies for segment in tally.segments}
        return [one for one in self.recorded if id(one[0]) in told]

    def attended(self) -> torch.Tensor:
        """int64 [C, C] by query cube, from the segments."""
        cubes = self.sequence.layout.cubes
        device = self.sequence.video_positions.device
        found = torch.zeros(cubes, cubes, dtype=torch.long, device=device)
        for segment, choice in self.segments:
            for row, own in enumerate(segment.own_cube.tolist()):
                if own >= 0:
                    chosen = choice.kept[:, row] | segment.own_mask[row]
                    found[own, : segment.end_cube] += chosen.sum(0)
        return found

    def pairs(self) -> tuple[int, int]:
        """Keys of cubes that are attended to, one by one; and what was multiplied."""
        layout, chosen = self.sequence.layout, 0
        for segment, choice in self.segments:
            seen = layout.cube_from_token < segment.end_cube
            attended = (choice.kept | segment.own_mask)[..., layout.cube_from_token[seen]]
            token = torch.arange(int(seen.sum()), device=attended.device)
            chosen += int((attended & (token < segment.video_before[:, None])).sum())
        return chosen, sum(choice.executed_pairs for _, choice in self.segments)


def check_sums(both: Both) -> None:
    """Counts to the last bit, entropies within 1e-6."""
    expected = both.attended()
    attended = torch.zeros_like(expected)
    for tally in both.tallies:
        rows = slice(tally.first_cube, tally.first_cube + len(tally.attended))
        attended[rows, : tally.attended.shape[1]] += tally.attended
    assert torch.equal(attended, expected)
    pairs = [tally.pairs() for tally in both.tallies]
    if pairs:
        assert tuple(torch.stack(pairs).sum(0).tolist()) == both.pairs()
        found = torch.cat([tally.entropies for tally in both.tallies], 1)
        video = [entropy(choice.probs) for segment, choice in both.segments if not segment.is_text]
        nats = torch.cat(video or [found[:, :0]], 1)
        torch.testing.assert_close(found, nats, atol=1e-6, rtol=1e-6)
