"""Evaluation at speed: a clip's video is read once per condition, all its questions behind it.

The packed masked forward gives the product's answers (tested), in batches and on any device;
sparsity saves it no time, so nothing here is timed. Its figures carry the label S.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from adaspark.eval.harness.asking import (
    MAX_NEW_TOKENS,
    Asked,
    Span,
    ask,
    greedy_answers,
    logits_at,
    narrowed,
)
from adaspark.eval.harness.clip import Clip
from adaspark.eval.harness.conditions import DENSE_CONDITION, Condition
from adaspark.eval.harness.encoding import Shown, geometry_for, show
from adaspark.eval.harness.outcomes import Outcome, Tally, asked_events, hits
from adaspark.mini.packed.decisions import Decisions
from adaspark.mini.packed.geometry import PackedGeometry
from adaspark.mini.packed.masked_forward import LayerKeys, SparseForward
from adaspark.mini.packed.packing import IGNORE, Packer, answer_places
from adaspark.mini.questions.families import score
from adaspark.mini.questions.question import Question
from adaspark.model.checkpoint import Checkpoint
from adaspark.model.qwen import language_shape, restore
from adaspark.trace.cost import vision_flops

TOKENS_AT_ONCE = {"cuda": 2**16, "cpu": 2**13}
_KEPT_FEATURES = 4  # batches whose features stay, for the next condition


@dataclass(frozen=True, eq=False)
class RecordedBatch:
    """One batch's decisions, for evaluations that need more than outcomes.

    `decisions` has the sampled video rows first, then all text rows of the blocks (see its `rows`);
    `truth` bool [B, V, K]; `log_probs` by clip and question: fp32 [answer tokens, vocabulary] under
    the expected answer.
    """

    clips: Sequence[Clip]
    geometry: PackedGeometry
    decisions: Decisions
    spans: list[list[Span]]
    truth: Tensor
    log_probs: list[list[Tensor]]


@dataclass(frozen=True)
class Record:
    """Ask for decisions: `receive` is called once a batch. `mass`, `norms` as in `Decisions`;
    `video_rows` evenly spaced video tokens are recorded beside the text.
    """

    receive: Callable[[RecordedBatch], None]
    mass: bool = False
    norms: bool = False
    video_rows: int = 0


@dataclass(frozen=True, eq=False)
class _Reading:
    """One batch, read once under the expected answers."""

    geometry: PackedGeometry
    shown: Shown
    asked: Asked
    decisions: Decisions
    past: list[LayerKeys]
    states: Tensor
    log_probs: list[list[Tensor]]


class Runner:
    """A checkpoint of the bundled model's kind, and the clips that it answers.

    `tokens` bounds the tokens of a batch. The model must not be in use elsewhere: it is restored
    to the stock one.
    """

    def __init__(self, loaded: Checkpoint, *, tokens: int | None = None) -> None:
        self.model: Any = restore(loaded.model)
        self.device = loaded.device
        self.packer = Packer(loaded.tokenizer)
        self._tokens = tokens or TOKENS_AT_ONCE[self.device.type]
        self._shape = language_shape(self.model.config.text_config)
        self._shown: OrderedDict[Any, Shown] = OrderedDict()

    def features(self, clips: Sequence[Clip], condition: Condition = DENSE_CONDITION) -> Shown:
        """What `condition` shows of clips of one shape; the last few are kept for the next
        condition.
        """
        scenes = tuple((clip.scene, clip.frames, clip.size) for clip in clips)
        key = (scenes, condition.frames, condition.control)
        if key not in self._shown:
            self._shown[key] = show(self.model, clips, condition)
        self._shown.move_to_end(key)
        while len(self._shown) > _KEPT_FEATURES:
            self._shown.popitem(last=False)
        return self._shown[key]

    def run(
        self, clips: Sequence[Clip], condition: Condition, *, record: Record | None = None
    ) -> list[list[Outcome]]:
        """Outcomes by clip and question; the clips must be of one length and size."""
        parts = self.batches(clips)
        return [outcomes for part in parts for outcomes in self._run(part, condition, record)]

    def observe(self, clips: Sequence[Clip], condition: Condition, record: Record) -> None:
        """Read clips under the expected answers, for `record` alone: nothing is decoded, which is
        most of the work if answers are wrong.
        """
        for part in self.batches(clips):
            if any(clip.questions for clip in part):
                self._read(part, condition, record)

    def batches(self, clips: Sequence[Clip]) -> list[Sequence[Clip]]:
        """Clips of one shape as they are run at once.

        To compare conditions, run all of them on a batch before the next: its features are kept.
        """
        if not clips:
            return []
        height, width = clips[0].size
        video = clips[0].frames // 2 * (height // 28) * (width // 28)
        packer = self._packer(clips)
        text = packer.block_tokens * max(len(clip.questions) for clip in clips)
        count = max(1, self._tokens // (video + text))
        return [clips[first : first + count] for first in range(0, len(clips), count)]

    @torch.inference_mode()
    def _read(self, clips: Sequence[Clip], condition: Condition, record: Record | None) -> _Reading:
        packer = self._packer(clips)
        questions = [clip.questions for clip in clips]
        blocks = max(map(len, questions))
        geometry, shown = geometry_for(self.features(clips, condition), packer, blocks, condition)
        asked = ask(packer, questions, geometry.shape.prefix_tokens, self.device)
        decisions = _decisions(geometry, record)
        forward = SparseForward(self.model, geometry, condition.config, condition.oracle, decisions)
        past = forward.prefix(shown.features)
        states = forward.text(asked.ids, past)
        log_probs = _log_probs(forward, states, asked)
        if record is not None:
            record.receive(
                RecordedBatch(clips, geometry, decisions, asked.spans, shown.truth, log_probs)
            )
        return _Reading(geometry, shown, asked, decisions, past, states, log_probs)

    @torch.inference_mode()
    def _run(
        self, clips: Sequence[Clip], condition: Condition, record: Record | None
    ) -> list[list[Outcome]]:
        if not any(clip.questions for clip in clips):
            return [[] for _ in clips]
        read = self._read(clips, condition, record)
        geometry, asked, log_probs = read.geometry, read.asked, read.log_probs
        answers = self._answers(clips, condition, read)
        tally = self._tally(clips[0], geometry, read.decisions, condition, read.shown)
        truth = read.shown.truth
        wanted = asked_events([c.questions for c in clips], asked.ids.shape[1], truth.shape[-1])
        chosen = hits(geometry, read.decisions, truth, wanted.to(self.device), asked.spans)
        return [
            [
                _outcome(clip, i, answers[row, i], log_probs[row][i], tally, asked, chosen, row)
                for i in range(len(clip.questions))
            ]
            for row, clip in enumerate(clips)
        ]

    def _answers(
        self, clips: Sequence[Clip], condition: Condition, read: _Reading
    ) -> dict[tuple[int, int], str]:
        """Greedy answers by (clip, question).

        If every token of the expected answer is the first choice, its end included, greedy
        decoding gives that answer; the others are decoded.
        """
        answers: dict[tuple[int, int], str] = {}
        wrong: list[list[int]] = [[] for _ in clips]
        for row, clip in enumerate(clips):
            for index, question in enumerate(clip.questions):
                labels = read.asked.labels[row, index]
                if torch.equal(read.log_probs[row][index].argmax(-1), labels[labels != IGNORE]):
                    answers[row, index] = question.answer
                else:
                    wrong[row].append(index)
        if not any(wrong):
            return answers
        few, states = narrowed(read.asked, read.states, wrong)
        blocks = few.ids.shape[1]
        geometry, _ = geometry_for(
            self.features(clips, condition), self._packer(clips), blocks, condition
        )
        forward = SparseForward(self.model, geometry, condition.config, condition.oracle)
        written = greedy_answers(forward, read.past, few, states, end_id=self.packer.end_id)
        for row, indices in enumerate(wrong):
            for index, ids in zip(indices, written[row], strict=True):
                text = self.packer.tokenizer.decode(ids, skip_special_tokens=True)
                answers[row, index] = text.strip()
        return answers

    def _packer(self, clips: Sequence[Clip]) -> Packer:
        """Blocks that hold every question of the clips and any answer."""
        return self.packer.fitting(_questions(clips), answer_tokens=MAX_NEW_TOKENS)

    def _tally(
        self,
        clip: Clip,
        geometry: PackedGeometry,
        decisions: Decisions,
        condition: Condition,
        shown: Shown,
    ) -> Tally:
        slices, rows, columns = clip.frames // 2, clip.size[0] // 28, clip.size[1] // 28
        tower = self.model.config.vision_config
        return Tally(
            geometry,
            decisions,
            condition.config,
            self._shape,
            video_tokens=slices * rows * columns,
            vision=(
                vision_flops(tower, (slices, rows, columns)),
                vision_flops(tower, shown.grid),
            ),
        )


def _outcome(
    clip: Clip,
    index: int,
    answer: str,
    log_probs: Tensor,
    tally: Tally,
    asked: Asked,
    chosen: tuple[NDArray[np.bool_], NDArray[np.bool_]],
    row: int,
) -> Outcome:
    """The outcome of question `index` of the batch's clip in `row`."""
    question, span = clip.questions[index], asked.spans[row][index]
    labels = asked.labels[row, index]
    expected = labels[labels != IGNORE][:, None]
    about_one = question.event is not None
    whole, last = (found[:, row, :, index] for found in chosen)
    return Outcome(
        seed=clip.seed,
        family=question.family,
        question=question.text,
        expected=question.answer,
        answer=answer,
        correct=score(question, answer),
        logprob=float(log_probs.gather(1, expected).sum()),
        hit=float(whole.mean()) if about_one else None,
        hit_any=bool(whole.any()) if about_one else None,
        hit_last=float(last.mean()) if about_one else None,
        density=tally.density(row, span),
        flops=tally.flops(row, span),
    )


def _questions(clips: Sequence[Clip]) -> list[Question]:
    return [question for clip in clips for question in clip.questions]


def _decisions(geometry: PackedGeometry, record: Record | None) -> Decisions:
    """All text rows, and evenly spaced video rows if they are asked for."""
    if record is None:
        return Decisions()
    video = geometry.video
    count = min(record.video_rows, video.stop - video.start)
    sampled = [video.start + i * (video.stop - video.start) // count for i in range(count)]
    text = range(geometry.shape.prefix_tokens, geometry.tokens)
    return Decisions([*sampled, *text], record.mass, record.norms)


def _log_probs(forward: SparseForward, states: Tensor, asked: Asked) -> list[list[Tensor]]:
    """By clip and question: fp32 [answer tokens, vocabulary] under the expected answer."""
    places = answer_places(asked.labels)
    counts = (asked.labels != IGNORE).sum(-1)
    found = logits_at(forward, states, places).log_softmax(-1)
    parts = iter(torch.split(found, counts.flatten().tolist()))
    by_block = [[next(parts) for _ in row] for row in counts.tolist()]
    return [blocks[: len(spans)] for blocks, spans in zip(by_block, asked.spans, strict=True)]
