"""One training run: steps, tests, curriculum, checkpoints and the log."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from adaspark.mini.packed.dense_forward import (
    encode_clips,
    packed_states,
    patchify,
    use_packed_attention,
)
from adaspark.mini.packed.packing import Geometry, Packer, answer_places, geometry
from adaspark.mini.training.auxiliary import NumberHead, TokenHeads, number_labels, token_labels
from adaspark.mini.training.config import TrainConfig
from adaspark.mini.training.data import FAMILY_NAMES, Batch, BatchSpec, batches, held_out_batch
from adaspark.mini.training.log import RunLog
from adaspark.mini.training.model import build_model, save_bundle
from adaspark.mini.training.optimizer import build_optimizer, has_bfloat16
from adaspark.mini.training.stages import Stage
from adaspark.mini.training.weights import read_start, read_tokenizer
from adaspark.mini.world.augment import augment
from adaspark.mini.world.render import render_table

TOKEN_LAYER = 3  # the language layer whose output the late heads read
NUMBER_LAYER = 1  # early, so that later layers can look where the numbers say


class Trainer:
    """All state of a run: model, heads, optimizer, and the place in the curriculum."""

    def __init__(self, config: TrainConfig) -> None:
        self.config = config
        name = "cuda" if torch.cuda.is_available() else "cpu"
        self.device = torch.device(name if config.device == "auto" else config.device)
        self.tokenizer = read_tokenizer(config.weights)
        self.packer = Packer(self.tokenizer)
        self.model = build_model(self.tokenizer, seed=config.seed).to(self.device).train()
        hidden = self.model.config.text_config.hidden_size
        heads = {"token": TokenHeads(hidden), "number": NumberHead(hidden)}
        self.heads = nn.ModuleDict(heads).to(self.device)
        if config.weights is not None:
            weights, read = read_start(config.weights, self.device)
            self.model.load_state_dict(weights)
            if read:
                self.heads.load_state_dict(read)
        use_packed_attention(self.model)
        self.optimizer = self._optimizer()
        self.step, self.stage_index, self.stage_step = 0, config.first_stage, 0
        self.log = RunLog(config.folder)
        self.started = time.monotonic()
        self.spec = BatchSpec(config.seed, config.tokens, config.asked)
        self.bfloat16 = has_bfloat16(self.device)
        self._geometry: dict[tuple[float, ...], Geometry] = {}
        self._outputs: dict[int, Tensor] = {}
        for index in (TOKEN_LAYER, NUMBER_LAYER):
            layer = self.model.model.language_model.layers[index]
            layer.register_forward_hook(partial(self._keep_output, index))

    def _optimizer(self) -> torch.optim.Optimizer:
        return build_optimizer(self.model, self.heads, self.config.learning_rate)

    def _keep_output(self, index: int, _: nn.Module, __: Any, output: Tensor) -> None:
        self._outputs[index] = output

    def _autocast(self) -> AbstractContextManager[Any]:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16)

    def _shape(self, batch: Batch) -> Geometry:
        key = shape_key(batch)
        if key not in self._geometry:
            *grid, blocks, step = key
            shape = geometry(self.packer, [int(n) for n in grid], int(blocks), position_step=step)
            self._geometry[key] = shape.to(self.device)
        return self._geometry[key]

    def forward(self, batch: Batch, pictures: Tensor, asked: Tensor) -> tuple[Tensor, Tensor]:
        """Answer logits [A, vocabulary] and the vision features [B, V, h].

        `asked` int64 [A] are the places of the answers' tokens in the flattened labels.
        """
        features = self.encode(batch, pictures)
        states = packed_states(self.model, batch.ids, features, self._shape(batch))
        return self.logits(states, asked), features

    def encode(self, batch: Batch, pictures: Tensor) -> Tensor:
        """Vision features [B, V, h] of a batch's pictures."""
        rows, columns = batch.size[0] // 28, batch.size[1] // 28
        patches = patchify(pictures)
        if self.bfloat16:
            patches = patches.bfloat16()
        return encode_clips(self.model.model.visual, patches, rows, columns)

    def logits(self, states: Tensor, asked: Tensor) -> Tensor:
        """fp32 [A, vocabulary] of text states [B, R, h] at the places `asked`."""
        chosen = states.flatten(0, 1).index_select(0, asked)
        return F.linear(chosen, self.model.lm_head.weight).float()

    def train_step(self, batch: Batch) -> dict[str, Tensor]:
        """One optimizer step; returns the losses as tensors on the device."""
        for group in self.optimizer.param_groups:
            group["lr"] = self._learning_rate()
        generator = torch.Generator(self.device).manual_seed(self.config.seed * 10**7 + self.step)
        # Found before the batch goes to the device: there it would wait for the device.
        asked = answer_places(batch.labels).to(self.device)
        batch = batch.to(self.device)
        with torch.no_grad():
            pictures = render_table(batch.table, batch.times_secs, batch.size)
            pictures = augment(pictures, generator)
        with self._autocast():
            losses = self._losses(batch, pictures, asked)
        self.optimizer.zero_grad(set_to_none=True)
        weights = {"answer": 1.0, "token": self._auxiliary_weight(), "number": self.config.number}
        total: Any = sum(weights[name] * loss for name, loss in losses.items())
        total.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        return {name: loss.detach() for name, loss in losses.items()}

    def _losses(self, batch: Batch, pictures: Tensor, asked: Tensor) -> dict[str, Tensor]:
        """Of the answers' tokens, and of what the heads read in video tokens and digits."""
        logits, features = self.forward(batch, pictures, asked)
        answer_loss = F.cross_entropy(logits, batch.labels.flatten()[asked])
        labels = token_labels(batch.table, batch.times_secs, batch.size)
        start = len(self.packer.before)
        end = start + features.shape[1]
        token_loss = self.heads["token"](features, self._outputs[TOKEN_LAYER][:, start:end], labels)
        numbers = number_labels(batch.ids.flatten(1), self.packer.digit_ids.to(self.device))
        number_loss = self.heads["number"](self._outputs[NUMBER_LAYER][:, end:], numbers)
        return {"answer": answer_loss, "token": token_loss, "number": number_loss}

    @torch.no_grad()
    def test(self, stage: Stage) -> dict[str, float]:
        """Accuracy per family on held-out clips.

        An answer counts if each of its tokens, its end included, is the model's first choice, which
        is when greedy decoding would give it.
        """
        right, total = [0] * len(FAMILY_NAMES), [0] * len(FAMILY_NAMES)
        room = self.spec.clips_in(stage.test, self.packer.block_tokens)
        count = min(self.config.test_clips, room)
        for index in range(max(1, self.config.test_clips // count)):
            batch = held_out_batch(self.packer, stage, self.spec, index, count)
            asked = answer_places(batch.labels).to(self.device)
            batch = batch.to(self.device)
            pictures = render_table(batch.table, batch.times_secs, batch.size)
            with self._autocast():
                logits, _ = self.forward(batch, pictures, asked)
            wrong = torch.zeros(batch.labels.numel(), dtype=torch.bool, device=self.device)
            wrong[asked] = logits.argmax(-1) != batch.labels.flatten()[asked]
            missed_any = wrong.view_as(batch.labels).any(-1)
            for family, missed in zip(
                batch.families.flatten().tolist(), missed_any.flatten().tolist(), strict=True
            ):
                if family >= 0:
                    total[family] += 1
                    right[family] += not missed
        names = enumerate(FAMILY_NAMES)
        return {name: right[i] / total[i] for i, name in names if total[i]}

    def run(self) -> dict[str, float]:
        """Train through the curriculum; returns the last test's accuracies."""
        scores: dict[str, float] = {}
        while self.stage_index < len(self.config.stages) and not self._late():
            scores = self._run_stage(self.config.stages[self.stage_index])
        self.save()
        return scores

    def _run_stage(self, stage: Stage) -> dict[str, float]:
        steps = range(self.stage_step, stage.max_steps)
        scores: dict[str, float] = {}
        for batch in _progress(
            batches(self.packer, stage, self.spec, steps, workers=self.config.workers), stage, steps
        ):
            losses = self.train_step(batch)
            self.step, self.stage_step = self.step + 1, self.stage_step + 1
            if self.stage_step % self.config.test_every == 0:
                scores = self.test(stage)
                self._write_log(stage, losses, scores)
                if self.stage_step >= stage.min_steps and min(scores.values()) >= stage.pass_mark:
                    break
            if self.step % self.config.save_every == 0:
                self.save()
            if self._late():
                return scores
        self.stage_index, self.stage_step = self.stage_index + 1, 0
        return scores

    def _late(self) -> bool:
        return time.monotonic() - self.started > self.config.max_secs

    def _annealed_share(self) -> float:
        stage = self.config.stages[self.stage_index]
        return self.stage_step / stage.max_steps if stage.anneals else 0.0

    def _learning_rate(self) -> float:
        """Linear warm-up, constant, cosine to 2 % over each stage that anneals."""
        warm = min(1.0, (self.step + 1) / self.config.warmup_steps)
        decay = 0.51 + 0.49 * math.cos(math.pi * self._annealed_share())
        return self.config.learning_rate * warm * decay

    def _auxiliary_weight(self) -> float:
        """Full, then down to nothing over the first half of a stage that anneals."""
        return self.config.auxiliary * max(0.0, 1 - 2 * self._annealed_share())

    def _write_log(self, stage: Stage, losses: dict[str, Tensor], scores: dict[str, float]) -> None:
        place = {"stage": stage.name, "step": self.step, "stage_step": self.stage_step}
        secs = {"secs": round(time.monotonic() - self.started, 1)}
        means = {f"{name}_loss": round(float(value), 4) for name, value in losses.items()}
        self.log.write({**place, **secs, **means}, scores)

    def save(self) -> None:
        """Write `state.pt` (to resume from), `weights.pt` (to start from) and the bundle."""
        folder = self.config.folder
        folder.mkdir(parents=True, exist_ok=True)
        weights = {"model": self.model.state_dict(), "heads": self.heads.state_dict()}
        place = {
            "step": self.step,
            "stage_index": self.stage_index,
            "stage_step": self.stage_step,
            "learnt": self.log.learnt,
            "optimizer": self.optimizer.state_dict(),
        }
        torch.save(weights, folder / "weights.pt")
        torch.save({**weights, **place}, folder / "state.pt")

    def resume(self) -> None:
        """Go on where `state.pt` in the run's folder stopped; the result is as if never stopped."""
        path = self.config.folder / "state.pt"
        state = torch.load(path, map_location=self.device, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.heads.load_state_dict(state["heads"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.stage_index = state["step"], state["stage_index"]
        self.stage_step, self.log.learnt = state["stage_step"], state["learnt"]

    def bundle(self, folder: Path) -> None:
        """Write what `from_pretrained` loads."""
        save_bundle(self.model, self.tokenizer, folder)


def shape_key(batch: Batch) -> tuple[float, ...]:
    """What batches of one geometry share: (T, H, W) in merged tokens, blocks, position step."""
    grid = (batch.times_secs.shape[1] // 2, batch.size[0] // 28, batch.size[1] // 28)
    return (*grid, batch.ids.shape[1], batch.position_step)


def _progress(steps: Iterator[Batch], stage: Stage, span: range) -> Iterator[Batch]:
    from tqdm import tqdm

    bar = tqdm(
        steps,
        desc=stage.name,
        initial=span.start,
        total=span.stop,
        mininterval=10,
        disable=None,  # silent if stderr is no terminal
    )
    return iter(bar)
