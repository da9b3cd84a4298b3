"""Clips as the language model gets them: features, positions, and the tokens of each object."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from adaspark.eval.harness.clip import Clip
from adaspark.eval.harness.conditions import Condition
from adaspark.method.config import Grid
from adaspark.mini.packed.dense_forward import encode_clips, patchify
from adaspark.mini.packed.geometry import PackedGeometry, cube_layout
from adaspark.mini.packed.packing import Geometry, Packer, geometry
from adaspark.mini.training.model import FPS, MERGE, PATCH, POSITION_STEP, TEMPORAL_PATCH
from adaspark.mini.world.render import render_table
from adaspark.mini.world.scene_tensors import tabulate
from adaspark.mini.world.truth import token_truth

_TOKEN = PATCH * MERGE
_GREY = 128


@dataclass(frozen=True, eq=False)
class Shown:
    """Equal clips after the vision tower.

    `features` [B, V, h]; `truth` bool [B, V, K]: which token holds which event; `grid` is (T, H, W)
    in merged tokens; `position_step` the M-RoPE distance of two slices.
    """

    features: Tensor
    truth: Tensor
    grid: Grid
    position_step: float


@torch.inference_mode()
def show(model: Any, clips: Sequence[Clip], condition: Condition) -> Shown:
    """Render and encode clips of one shape, as `condition` wants them, on the model's device."""
    frames, size, fps, device = clips[0].frames, clips[0].size, clips[0].fps, model.device
    if any((clip.frames, clip.size, clip.fps) != (frames, size, fps) for clip in clips):
        raise ValueError("Clips that are run together must be of one length and size.")
    shown = frames
    if condition.frames is not None:
        shown = TEMPORAL_PATCH * max(1, round(frames * condition.frames / TEMPORAL_PATCH))
    apart = frames / shown  # evenly sampled: the positions follow the longer steps
    times = torch.tensor(
        [shown_times(clip, shown, apart / fps, condition) for clip in clips], device=device
    )
    table = {name: rows.to(device) for name, rows in tabulate([c.scene for c in clips]).items()}
    pictures = render_table(table, times, size)
    if condition.control == "blind":
        pictures.fill_(_GREY)
    grid = (shown // TEMPORAL_PATCH, size[0] // _TOKEN, size[1] // _TOKEN)
    features = encode_clips(model.model.visual, patchify(pictures), grid[1], grid[2])
    truth = token_truth(table, times, size).flatten(1, 3)
    return Shown(features, truth, grid, POSITION_STEP * apart * FPS / fps)


def shown_times(clip: Clip, frames: int, step_secs: float, condition: Condition) -> list[float]:
    """When each shown frame was taken, in seconds, in the order in which they are shown."""
    times = [index * step_secs for index in range(frames)]
    if condition.control == "shuffled":
        random.Random(clip.seed).shuffle(times)
    return times


def geometry_for(
    shown: Shown, packer: Packer, blocks: int, condition: Condition
) -> tuple[PackedGeometry, Shown]:
    """The packed sequence of shown clips with `blocks` questions each, on their device.

    Pruned clips come back with the features and the truth of the tokens that are left.
    """
    shape = geometry(packer, shown.grid, blocks, position_step=shown.position_step)
    shape = shape.to(shown.features.device)
    if condition.prune is None:
        layout = cube_layout(shown.grid, condition.config.cube, condition.runs)
        return PackedGeometry.build(shape, layout, packer.block_tokens), shown
    count = max(1, round(shown.features.shape[1] * condition.prune))
    kept = shown.features.float().norm(dim=-1).topk(count, dim=-1).indices.sort(dim=-1).values
    features, truth = (
        values.gather(1, kept[..., None].expand(-1, -1, values.shape[-1]))
        for values in (shown.features, shown.truth)
    )
    layout = cube_layout((1, 1, count), condition.config.cube, runs=count)
    pruned = _pruned(shape, kept, len(packer.before))
    left = Shown(features, truth, shown.grid, shown.position_step)
    return PackedGeometry.build(pruned, layout, packer.block_tokens), left


def _pruned(shape: Geometry, kept: Tensor, before: int) -> Geometry:
    """The geometry of clips that kept the video tokens `kept` int64 [B, V'] alone.

    What is left keeps its positions; `before` tokens of the template precede the video.
    """
    clips, count = kept.shape
    positions = shape.positions[:, None].expand(3, clips, -1)
    video = positions[..., before : shape.prefix_tokens].gather(2, kept.expand(3, -1, -1))
    parts = (positions[..., :before], video, positions[..., shape.prefix_tokens :])
    prefix = before + count
    return Geometry(
        torch.cat(parts, dim=-1),
        shape.text_mask[:, shape.prefix_tokens - prefix :],  # blocks see the whole prefix
        prefix,
        shape.prefix[:prefix],
    )
