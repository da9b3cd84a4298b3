"""Training batches as a pure function of stage, seed and step, without the rendered pictures."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from adaspark.mini.packed.packing import IGNORE, Packer
from adaspark.mini.questions.families import EXTRA, FAMILIES, questions
from adaspark.mini.questions.question import Question
from adaspark.mini.training.model import FPS, POSITION_STEP
from adaspark.mini.training.stages import Clips, Stage
from adaspark.mini.world.scene import Scene
from adaspark.mini.world.scene_tensors import tabulate
from adaspark.mini.world.seeds import HELD_OUT_SEED, held_out_seed
from adaspark.mini.world.slow_motion import slowed
from adaspark.mini.world.world import sample_scene

FAMILY_NAMES = (*FAMILIES, *EXTRA)


@dataclass(eq=False)
class Batch:
    """Clips of one shape with their questions.

    `table` as `render.tabulate` gives it; `times_secs` float32 [B, F]; `ids` and `labels` int64
    [B, Q, L]; `families` int64 [B, Q] (-1 if a block is empty).
    """

    table: dict[str, Tensor]
    times_secs: Tensor
    ids: Tensor
    labels: Tensor
    families: Tensor
    size: tuple[int, int]
    position_step: float = POSITION_STEP

    def to(self, device: torch.device) -> Batch:
        """The same batch on another device."""
        table = {name: value.to(device) for name, value in self.table.items()}
        return replace(
            self,
            table=table,
            times_secs=self.times_secs.to(device),
            ids=self.ids.to(device),
            labels=self.labels.to(device),
            families=self.families.to(device),
        )


@dataclass(frozen=True)
class BatchSpec:
    """How large batches are: about `tokens` tokens a batch, `asked` questions a clip or, if its
    kind says so, several times as many.
    """

    seed: int
    tokens: int
    asked: int

    def clips_in(self, clips: Clips, block_tokens: int) -> int:
        """Clips of this kind that fit in one batch."""
        video = clips.frames // 2 * (clips.size[0] // 28) * (clips.size[1] // 28)
        return max(2, self.tokens // (video + self.asked_of(clips) * block_tokens))

    def asked_of(self, clips: Clips) -> int:
        """Questions a clip of this kind."""
        return self.asked * clips.more


def training_batch(packer: Packer, stage: Stage, spec: BatchSpec, step: int) -> Batch:
    """The batch of one training step."""
    rng = random.Random(f"{spec.seed}-{stage.name}-{step}")
    clips = rng.choices(stage.clips, [c.weight for c in stage.clips])[0]
    count = spec.clips_in(clips, packer.block_tokens)
    # Python hashes text seeds with SHA-512: no two steps share a scene in practice.
    seeds = [rng.randrange(HELD_OUT_SEED) for _ in range(count)]
    pace = rng.choice(clips.position_steps or stage.position_steps)
    asked = spec.asked_of(clips)
    return make_batch(packer, clips, stage, seeds, asked=asked, position_step=pace)


def held_out_batch(packer: Packer, stage: Stage, spec: BatchSpec, index: int, count: int) -> Batch:
    """Test clips of a stage, from seeds that training never draws, asked in full as at run time."""
    seeds = [held_out_seed("test", index * count + offset) for offset in range(count)]
    asked = spec.asked_of(stage.test)
    return make_batch(packer, stage.test, stage, seeds, asked=asked, held_out=True)


def make_batch(
    packer: Packer,
    clips: Clips,
    stage: Stage,
    seeds: Sequence[int],
    *,
    asked: int,
    held_out: bool = False,
    position_step: float = POSITION_STEP,
) -> Batch:
    """Scenes of `seeds` with their questions, as tensors.

    A slice lasts `position_step` half seconds, as at run time: the scenes are slowed down by it,
    so the pictures stay and every second that is asked about moves.
    """
    frame_secs = position_step / POSITION_STEP / FPS
    scenes, times, rows = [], [], []
    for seed in seeds:
        rng = random.Random(f"{seed}-batch")
        scene = sample_scene(seed, stage.settings(clips, rng))
        scene = slowed(scene, position_step / POSITION_STEP)
        phase = rng.uniform(0.0, 0.8) if rng.random() < 0.6 else 0.0
        scenes.append(scene)
        times.append([(phase + frame) * frame_secs for frame in range(clips.frames)])
        rows.append(
            _ask(packer, scene, rng, stage, clips, asked, held_out=held_out, frame_secs=frame_secs)
        )
    ids, labels, families = (torch.tensor(column) for column in zip(*rows, strict=True))
    return Batch(
        tabulate(scenes), torch.tensor(times), ids, labels, families, clips.size, position_step
    )


def _ask(
    packer: Packer,
    scene: Scene,
    rng: random.Random,
    stage: Stage,
    clips: Clips,
    asked: int,
    *,
    held_out: bool,
    frame_secs: float,
) -> tuple[list[list[int]], list[list[int]], list[int]]:
    """Ids, labels and family numbers of one clip's blocks; missing questions leave empty blocks."""
    share = (1.0 if stage.sentences else 0.0) if held_out else stage.sentences
    found = questions(
        scene,
        rng,
        count=asked,
        families=clips.families or stage.families,
        sentence_share=share,
        frame_secs=frame_secs,
    )
    chat = [held_out or rng.random() < stage.chat or _long(q) for q in found]
    blocks = [packer.block(q, chat=c) for q, c in zip(found, chat, strict=True)]
    families = [FAMILY_NAMES.index(q.family) for q in found]
    for _ in range(asked - len(found)):
        blocks.append(([packer.pad_id] * packer.block_tokens, [IGNORE] * packer.block_tokens))
        families.append(-1)
    return [ids for ids, _ in blocks], [labels for _, labels in blocks], families


def _long(question: Question) -> bool:
    """Whether a question is a sentence: those are only ever asked through the chat template."""
    return len(question.text.split()) > 4


class _Steps(Dataset[Batch]):
    def __init__(self, packer: Packer, stage: Stage, spec: BatchSpec, steps: range) -> None:
        self.packer, self.stage, self.spec, self.steps = packer, stage, spec, steps

    def __len__(self) -> int:
        return len(self.steps)

    def __getitem__(self, index: int) -> Batch:
        return training_batch(self.packer, self.stage, self.spec, self.steps[index])


def batches(
    packer: Packer, stage: Stage, spec: BatchSpec, steps: range, *, workers: int
) -> Iterator[Batch]:
    """The training batches of `steps`, in order, made by `workers` processes (0: in this one)."""
    data = _Steps(packer, stage, spec, steps)
    extra: dict[str, Any] = {"prefetch_factor": 4} if workers else {}
    return iter(DataLoader(data, batch_size=None, num_workers=workers, **extra))
