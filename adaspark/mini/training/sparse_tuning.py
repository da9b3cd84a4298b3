"""Sparse tuning: the bundled model learns to answer while AdaSpark drops most of its reading.

Only the language model's attention projections and norms move, by answers alone, under thresholds
drawn anew each step around the bundle's own: what comes out is a few megabytes that go on top of
the bundle. Source: ours; the paper's training is not public.
"""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import torch
import torch.nn.functional as F
from torch import Tensor

from adaspark.method.config import AdaSparkConfig, Cube
from adaspark.mini.packed.geometry import PackedGeometry, cube_layout
from adaspark.mini.packed.masked_forward import SparseForward
from adaspark.mini.training.config import TrainConfig
from adaspark.mini.training.data import Batch
from adaspark.mini.training.trainer import Trainer, shape_key
from adaspark.mini.training.weights import save_delta

REACH = 0.25  # thresholds are drawn this far around the bundle's own, near ones more often
OTHER_CUBES: tuple[Cube, ...] = ((1, 2, 2), (2, 2, 2), (1, 4, 4), (2, 4, 4), (4, 4, 4))
OTHER_CUBES_SHARE = 0.2


class SparseTrainer(Trainer):
    """A run that starts from a bundle and trains through the sparse forward, around `own`."""

    def __init__(self, config: TrainConfig, own: AdaSparkConfig) -> None:
        self.own = own
        super().__init__(config)
        self._packed_geometries: dict[tuple[tuple[float, ...], Cube], PackedGeometry] = {}

    @property
    def trained(self) -> set[str]:
        """Names of the parameters that move."""
        language = "model.language_model."
        return {
            name
            for name, _ in self.model.named_parameters()
            if name.startswith(language) and ("self_attn." in name or "norm" in name)
        }

    def _optimizer(self) -> torch.optim.Optimizer:
        trained = self.trained
        for name, parameter in self.model.named_parameters():
            parameter.requires_grad_(name in trained)
        moving = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        return torch.optim.AdamW(
            moving,
            lr=self.config.learning_rate,
            betas=(0.9, 0.98),
            weight_decay=0.0,
            fused=moving[0].is_cuda,
        )

    def forward(self, batch: Batch, pictures: Tensor, asked: Tensor) -> tuple[Tensor, Tensor]:
        """As `Trainer.forward`, sparse: with the step's drawn thresholds in training, `own` in
        tests.
        """
        with torch.no_grad():
            features = self.encode(batch, pictures)
        drawn = torch.is_grad_enabled()
        config = self.drawn() if drawn else self.own
        forward = SparseForward(self.model, self._packed_geometry(batch, config.cube), config)
        return self.logits(forward.states(batch.ids, features), asked), features

    def drawn(self) -> AdaSparkConfig:
        """The thresholds and the cube of the step at hand."""
        rng = random.Random(f"{self.config.seed}-sparse-{self.step}")
        other = rng.random() < OTHER_CUBES_SHARE
        cube = rng.choice(OTHER_CUBES) if other else self.own.cube
        attn, ffn = (_near(p, rng) for p in (self.own.attn_top_p, self.own.ffn_top_p))
        return replace(self.own, cube=cube, attn_top_p=attn, ffn_top_p=ffn)

    def _packed_geometry(self, batch: Batch, cube: Cube) -> PackedGeometry:
        key = (shape_key(batch), cube)
        if key not in self._packed_geometries:
            shape, grid = self._shape(batch), [int(n) for n in key[0][:3]]
            layout = cube_layout(grid, cube)
            self._packed_geometries[key] = PackedGeometry.build(
                shape, layout, self.packer.block_tokens
            )
        return self._packed_geometries[key]

    def _losses(self, batch: Batch, pictures: Tensor, asked: Tensor) -> dict[str, Tensor]:
        logits, _ = self.forward(batch, pictures, asked)
        return {"answer": F.cross_entropy(logits, batch.labels.flatten()[asked])}

    def bundle(self, folder: Path) -> None:
        """Write `delta.safetensors` into the parent of `folder`, where a whole bundle would be
        `folder`.
        """
        facts = {"steps": self.step, "seed": self.config.seed, "cube": list(self.own.cube)}
        save_delta(self.model, self.trained, folder.parent / "delta.safetensors", facts)


def _near(p: float | tuple[float, ...], rng: random.Random) -> float:
    """A threshold around `p`, or around its mean over the layers."""
    middle = fmean(p) if isinstance(p, tuple) else p
    return rng.triangular(max(0.0, middle - REACH), min(1.0, middle + REACH), middle)
