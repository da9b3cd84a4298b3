"""Clips of every family at several lengths, read batch by batch, one item a clip."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from adaspark.errors import UserError
from adaspark.eval.harness.clip import Clip
from adaspark.eval.harness.clips import Length, mixed_clips
from adaspark.eval.harness.context import Context, option

Job = tuple[str, list[Clip]]
"""A length as it was typed, and a batch of its clips."""


@dataclass(frozen=True)
class ClipPlan:
    """`items` questions of each family at each length, `video_rows` video queries a clip.

    Raises UserError if nothing would be asked or a length cannot be shown.
    """

    items: int = option(40, "questions of each family at each length")
    lengths: tuple[str, ...] = option(
        ("148x224", "64x224", "16x112"), "frames at 4 a second, x, pixels square"
    )
    video_rows: int = option(32, "video queries that are looked at in each clip")

    def __post_init__(self) -> None:
        if self.items < 1 or self.video_rows < 1:
            raise UserError("Ask at least 1 item of a family, and look at 1 video query or more.")
        for length in self.lengths:
            Length.parse(length)


def batches(
    context: Context,
    plan: ClipPlan,
    *,
    changed: Callable[[Clip], Clip] = lambda clip: clip,
) -> Iterator[Job]:
    """Clips of every family without an item (length, seed) yet, as long as the budget lasts.

    They are run as `changed` makes them.
    """
    jobs: list[Job] = []
    for length in plan.lengths:
        clips = mixed_clips(Length.parse(length), items=plan.items, seed=context.seed)
        clips = [changed(c) for c in clips if not context.results.has(length, c.seed)]
        jobs += [(length, list(batch)) for batch in context.runner.batches(clips)]
    return context.in_time(jobs, name=lambda job: job[0])
