"""One word's chosen cubes on frames that are drawn again from their scene."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from adaspark.eval.harness.clip import Clip
from adaspark.method.layout import CubeLayout
from adaspark.mini.training.model import FPS, TEMPORAL_PATCH
from adaspark.mini.world.event import Event
from adaspark.mini.world.render import render
from adaspark.mini.world.scene_tensors import tabulate
from adaspark.mini.world.truth import token_truth

if TYPE_CHECKING:
    from adaspark.eval.report.charts import Case

SHOWN = 6
"""frames of a case"""


def packed(mask: Tensor) -> str:
    """bool [C] as a hexadecimal number, the first cube its lowest bit."""
    return f"{sum(1 << index for index in mask.nonzero().flatten().tolist()):x}"


def unpacked(bits: str, cubes: int) -> Tensor:
    """The inverse of `packed`: bool [C]."""
    number = int(bits, 16)
    return torch.tensor([bool(number >> index & 1) for index in range(cubes)])


def case_of(clip: Clip, item: Mapping[str, Any], layer: int, cube: Sequence[int]) -> Case:
    """What the item's word chose in `layer`, on slices with the object and on others."""
    from adaspark.eval.report.charts import Case

    grid = (clip.frames // TEMPORAL_PATCH, clip.size[0] // 28, clip.size[1] // 28)
    layout = CubeLayout([grid], cube)
    chosen = unpacked(item["cubes"][layer], layout.cubes)[layout.cube_from_token].view(grid)
    index = clip.questions[item["key"][1]].event
    assert index is not None, "only questions about one object are looked at"
    times = torch.arange(clip.frames)[None] / FPS
    truth = token_truth(tabulate([clip.scene]), times, clip.size)[0, ..., index]
    slices = shown_slices(truth.any((1, 2)), SHOWN)
    secs = [_seen_secs(clip.scene.events[index], TEMPORAL_PATCH * at / FPS) for at in slices]
    pictures = render([clip.scene], secs, clip.size)[0].permute(0, 2, 3, 1)
    return Case(
        f"“{item['question'].strip()}” ({'right' if item['correct'] else 'wrong'}) at "
        f"“{item['word']}”: object {_percent(item['recall'][layer])}, video "
        f"{_percent(item['share'][layer])}",
        pictures.numpy(),
        [f"{sec:g} s" for sec in secs],
        chosen[slices].numpy(),
        truth[slices].numpy(),
    )


def _seen_secs(event: Event, first: float) -> float:
    """Which frame of a slice to show: the first, unless the object is in the second alone."""
    second = first + 1 / FPS
    return second if event.visible(second) and not event.visible(first) else first


def shown_slices(present: Tensor, count: int) -> list[int]:
    """`count` slices in order: half with the object, spread over its time, the rest without it."""
    inside, outside = ((present == there).nonzero().flatten().tolist() for there in (True, False))
    first = _spread(inside, max(count // 2, count - len(outside)))
    return sorted(first + _spread(outside, count - len(first)))


def _spread(places: list[int], count: int) -> list[int]:
    """At most `count` of the places, evenly, ends included."""
    count = min(count, len(places))
    if count < 2:
        return places[:count]
    return [places[round(i * (len(places) - 1) / (count - 1))] for i in range(count)]


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
