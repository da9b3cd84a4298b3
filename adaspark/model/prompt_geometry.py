"""The prompts at work: where their tokens stand, and what is known of their videos.

A session goes with its cache, whatever becomes of that: copied, its rows chosen or repeated, cut,
or filled part by part. Nothing here touches a module.

A prompt may come in parts (chunked prefill, a video in a later turn). Each part chooses among the
cubes that are there: the mean of a cube that is cut is that of its tokens so far, and its FFN
choice is made in each part for itself. Whole cubes are what they are in one prefill.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from torch import Tensor

from adaspark.kernels import backend
from adaspark.method.config import Cube, Grid
from adaspark.method.layout import CubeLayout
from adaspark.method.sequence import SequenceMap
from adaspark.model.frame_runs import Slices, gather
from adaspark.model.placing import Arguments
from adaspark.model.shapes import CannotPlace, Shapes, runs_of


@dataclass(eq=False)
class Sample:
    """One prompt: a row of the batch, or one of those packed in it from token `first` on.

    `grids` are of its videos so far. Where it ends in a video, that may go on in the next part: it
    `is_cut`, and `open` int64 [2, n] holds rows and columns of its tokens, if they are known.
    `start` is the first token that is not cached. `slices` are the videos where each slice is a
    run of its own.
    """

    sequence: SequenceMap
    grids: list[Grid] = field(default_factory=list)
    first: int = 0
    start: int = 0
    is_cut: bool = False
    open: Tensor | None = None
    slices: Slices = field(default_factory=Slices)
    means: dict[int, Tensor] = field(default_factory=dict)
    _elsewhere: dict[torch.device, SequenceMap] = field(default_factory=dict)

    @property
    def tokens(self) -> slice:
        """Which keys of its row are this prompt's."""
        return slice(self.first, self.first + self.sequence.length)

    @property
    def new_tokens(self) -> slice:
        """Which of the tokens that its row is called with are this prompt's."""
        return slice(self.first, self.first + self.sequence.length - self.start)

    @cached_property
    def part(self) -> SequenceMap:
        """The tokens that are not cached, as a sequence of their own."""
        return self.sequence.from_token(self.start)

    def on(self, device: torch.device) -> Sample:
        """The same prompt for a layer on `device`: a model may be spread over several."""
        if self.sequence.video_positions.device == device:
            return self
        if device not in self._elsewhere:
            self._elsewhere[device] = self.sequence.on(device)
        return replace(self, sequence=self._elsewhere[device])

    def mean_keys(self, layer: int, keys: Tensor) -> Tensor:
        """The mean key of each cube, kept until more of the video comes."""
        if layer not in self.means:
            self.means[layer] = backend.cube_means(keys, self.sequence)
        return self.means[layer]

    def continued(self, start: int, count: int, is_real: Tensor | None) -> Sample:
        """`count` text tokens after the first `start` tokens; `is_real` bool [start + count]."""
        if self.sequence.has_video_from(start):
            raise CannotPlace("the cache was cut inside the video")
        new = None
        if is_real is not None:
            if int(is_real[:start].sum()) != self.sequence.tokens_before(start):
                raise CannotPlace("the attention mask now hides cached tokens")
            new = is_real[start:]
        sequence = self.sequence.continued(start, count, is_real=new)
        return Sample(sequence, self.grids, start=start, slices=self.slices, means=self.means)

    def extended(self, is_video: Tensor, is_real: Tensor, shapes: Shapes, cube: Cube) -> Sample:
        """More tokens after it, video among them: bool [n] masks."""
        if shapes.are_apart:
            return self._by_slices(is_video, is_real, shapes, cube)
        runs = runs_of(is_video & is_real)
        goes_on = self.is_cut and bool(runs) and runs[0][0] == 0
        places = shapes.places_of(runs, self.open if goes_on else None)
        grids = shapes.grids_of(runs, places, is_first=self.sequence.length == 0)
        if goes_on and (places is None or self.open is None):
            raise CannotPlace("a video came in parts without 3-D position_ids")
        every = [*(self.grids[:-1] if goes_on else self.grids), *grids]
        layout = CubeLayout(every, cube, device=is_video.device)
        tokens = len(self.sequence.video_positions) + sum(end - start for start, end in runs)
        is_cut = bool(runs) and runs[-1][1] == len(is_video)
        if tokens > layout.tokens or (tokens < layout.tokens and not is_cut):
            raise ValueError(
                f"The sequence marks {tokens} video tokens, but its grids {layout.grids} "
                f"hold {layout.tokens}; pass the video_grid_thw that belongs to these input_ids."
            )
        sequence = self.sequence.extended(is_video, is_real, layout.part(0, tokens))
        last = places[-1] if is_cut and places is not None else None
        return Sample(sequence, every, self.first, self.sequence.length, is_cut, last)

    def _by_slices(self, is_video: Tensor, is_real: Tensor, shapes: Shapes, cube: Cube) -> Sample:
        """The same where each slice is a run of its own."""
        slices, placed = gather(self.slices, is_video, is_real, shapes)
        layout = CubeLayout(slices.grids, cube, stamps=slices.all_stamps, device=is_video.device)
        tokens = len(self.sequence.video_positions) + int(placed.sum())
        sequence = self.sequence.extended(placed, is_real, layout.part(0, tokens))
        start = self.sequence.length
        return Sample(sequence, slices.grids, self.first, start, slices=slices)


@dataclass(eq=False)
class Session:
    """One batch of prompts, each row of it one or several samples; none where there is no video.

    `length` counts the tokens so far, `parts` those calls that brought video; the last one did, if
    it `brings_video`. `run` is the same for all that follows one prefill: recorders know it by
    that. `reason` is why this prompt runs dense, where it must. `prompt_length` says how long the
    prompt is, where it is known that text of it comes in a part of its own.
    """

    rows: list[list[Sample]] = field(default_factory=list)
    length: int = 0
    parts: int = 0
    brings_video: bool = False
    reason: str | None = None
    run: object = field(default_factory=object)
    prompt_length: int = 0

    def __deepcopy__(self, memo: object) -> Session:
        """A cache may be copied to ask several questions of one prefill; nothing here changes."""
        return replace(self, rows=list(self.rows))

    @property
    def has_video(self) -> bool:
        """Whether any row has seen a video."""
        return bool(self.rows)

    @property
    def is_prompt(self) -> bool:
        """Whether the last tokens are known to be of the prompt, not of an answer."""
        return self.brings_video or self.length <= self.prompt_length

    @property
    def samples(self) -> Iterable[Sample]:
        """All prompts of the batch."""
        return (sample for row in self.rows for sample in row)

    def chosen(self, indices: list[int]) -> Session:
        """The batch made of the rows at `indices`, each taken any number of times."""
        return replace(self, rows=[self.rows[i] for i in indices] if self.rows else [])

    def after(self, arguments: Arguments, cube: Cube) -> Session:
        """The session with the tokens of a call after its first `arguments.past` ones.

        Raises CannotPlace where the call does not say where its video stands.
        """
        past, count = arguments.past, arguments.count
        is_video = arguments.video_tokens()
        if past > self.length:
            raise CannotPlace("its cache holds tokens that this model was not called with")
        if self.rows and len(self.rows) != len(arguments.shown):
            raise CannotPlace("its cache has another batch size than it was filled with")
        if is_video is None or not bool(is_video.any()):
            return self._with_text(arguments)
        if past < self.length:
            raise CannotPlace("a video came after a cache that was cut")
        real = arguments.real_tokens()
        rows = self.rows or [[_text(row[:past], cube)] for row in real]
        shapes = arguments.shapes((is_video & real[:, past:]).sum(-1).tolist())
        extended = [
            [row[-1].extended(is_video[i], real[i, past:], shapes[i].of_row(i), cube)]
            for i, row in enumerate(rows)
        ]
        length, parts = past + count, self.parts + 1
        return replace(self, rows=extended, length=length, parts=parts, brings_video=True)

    def with_words(self, start: int, count: int) -> Session:
        """The session with `count` tokens of an answer after its first `start` ones."""
        rows = [[row[0].continued(start, count, None)] for row in self.rows]
        return replace(self, rows=rows, length=start + count, brings_video=False)

    def _with_text(self, arguments: Arguments) -> Session:
        past, count = arguments.past, arguments.count
        if not self.rows:
            return replace(self, length=past + count)
        real = None
        if count > 1:  # one token, as decoding goes on, is never padding
            real = arguments.real_tokens()
            if bool(real.all()) and all(s.sequence.is_unpadded for s in self.samples):
                real = None
        rows = [
            [row[0].continued(past, count, None if real is None else real[i])]
            for i, row in enumerate(self.rows)
        ]
        return replace(self, rows=rows, length=past + count, brings_video=False)


def read_packed(arguments: Arguments, samples: Tensor, cube: Cube) -> Session:
    """The session of a call whose rows each pack several samples: `samples` int64 [B, n]."""
    is_video = arguments.video_tokens()
    if is_video is None or not bool(is_video.any()):
        return Session(length=arguments.count)
    spans = [_spans(row) for row in samples]
    counts = [int(is_video[i, s:e].sum()) for i, row in enumerate(spans) for s, e in row]
    shapes = iter(arguments.shapes(counts))
    real = torch.ones_like(is_video)
    rows: list[list[Sample]] = []
    for i, row in enumerate(spans):
        rows.append([])
        for start, end in row:
            part = slice(start, end)
            empty = _text(real[i, :0], cube, first=start)
            shape = next(shapes).of_row(i, part)
            rows[-1].append(empty.extended(is_video[i, part], real[i, part], shape, cube))
    return Session(rows, arguments.count, parts=1, brings_video=True)


def _text(is_real: Tensor, cube: Cube, *, first: int = 0) -> Sample:
    """A prompt without video so far."""
    none = torch.zeros_like(is_real)
    return Sample(SequenceMap.build(none, [], cube, is_real=is_real), first=first)


def _spans(sample: Tensor) -> list[tuple[int, int]]:
    """Start and end of each sample in one row, int64 [n]."""
    sizes = torch.unique_consecutive(sample, return_counts=True)[1].tolist()
    ends = [sum(sizes[: i + 1]) for i in range(len(sizes))]
    return [(end - size, end) for end, size in zip(ends, sizes, strict=True)]
