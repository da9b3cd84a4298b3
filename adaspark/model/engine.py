"""One question about one video: sampled frames, cached vision features, streamed words, a Trace."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any
from weakref import WeakSet

import torch

from adaspark.errors import UserError
from adaspark.kernels.backend import backend
from adaspark.method.config import AdaSparkConfig, Grid
from adaspark.model import checkpoint
from adaspark.model.checkpoint import Checkpoint
from adaspark.model.conversation import Conversation, Known
from adaspark.model.events import Phase, Result, Word
from adaspark.model.families import layers_note
from adaspark.model.feature_files import FeatureFiles
from adaspark.model.features import FeatureCache, Features, Key, Report, encode, strongest
from adaspark.model.generation import generate
from adaspark.model.out_of_memory import free_bytes
from adaspark.model.prompt import Turn, text_tokens
from adaspark.model.prompt_cache import PromptCache
from adaspark.model.qwen import sparsify
from adaspark.model.rehearsal import rehearse
from adaspark.model.request import Estimate, Event, Options
from adaspark.model.room import Room
from adaspark.model.shown import chosen_sampling, estimate, preset_sampling
from adaspark.model.streaming import Stopped, streamed
from adaspark.model.trained import trained_note
from adaspark.trace.cost import vision_flops
from adaspark.trace.summary import finish
from adaspark.video.clip import DEFAULT_LIMITS, Limits, Opener, Source
from adaspark.video.probe import scan


class Engine:
    """A loaded model that answers one request at a time; others wait their turn.

    `model` is a name, or a checkpoint that is loaded. `adapter` is a LoRA folder to be put on the
    named one. A video of `max_video_tokens` or more is refused: the model's context, or less if so
    given. `preset` is how videos are shown at first (`PRESETS`), not to the bundled models, which
    have their own; `yarn` stretches the context. Vision features of long videos are put into
    `features_folder` as they are made, so that a killed run is taken up; None: into memory.
    """

    def __init__(
        self,
        model: str | Checkpoint = checkpoint.BUNDLED,
        device: str = "auto",
        *,
        adapter: str | None = None,
        max_video_tokens: int | None = None,
        preset: str | None = None,
        yarn: float | None = None,
        features_folder: Path | None = None,
    ) -> None:
        if isinstance(model, str):
            model = checkpoint.load(model, device=device, adapter=adapter, yarn=yarn)
        self._checkpoint, self.name = model, model.name
        if preset is not None and self.name not in checkpoint.BUNDLES:
            shown = chosen_sampling(self._checkpoint.sampling, **preset_sampling(preset))
            self._checkpoint = replace(self._checkpoint, sampling=shown)
        self._cache = FeatureCache()
        self._files = FeatureFiles(features_folder, self._checkpoint.model)
        self._conversations: WeakSet[Conversation] = WeakSet()
        self._identity = object()
        self._lock = threading.Lock()
        sparsify(self._checkpoint.model, self._checkpoint.config)
        self.device = str(self._checkpoint.device)
        self.dtype = str(self._checkpoint.model.dtype).removeprefix("torch.")
        self.backend = backend(self._checkpoint.device).name  # compiled here, not in an answer
        self.is_bundled = self.name in checkpoint.BUNDLES
        self.default_config = self._checkpoint.config
        self._room = Room(self._checkpoint.model, max_video_tokens)
        self._open_video: Opener = scan

    @property
    def max_video_tokens(self) -> int:
        """A video of so many tokens is refused."""
        return self._room.max_video_tokens

    @property
    def layers(self) -> int:
        """Layers of the language model."""
        return int(self._checkpoint.model.config.text_config.num_hidden_layers)

    def options(self, config: AdaSparkConfig | None = None, **values: Any) -> Options:
        """A request's settings: this configuration or the model's own, and fields of `Options`."""
        return Options(config or self.default_config, **values)

    @property
    def questions(self) -> list[str]:
        """Questions that the model understands; empty where it understands any."""
        if not self.is_bundled:
            return []
        text = (checkpoint.BUNDLED_MODEL / "questions.json").read_text("utf-8")
        return [str(question) for question in json.loads(text)]

    def open_with(self, open_video: Opener) -> None:
        """Open videos so from now on; until then they are read in this process."""
        self._open_video = open_video

    def estimate(
        self, path: Source, *, limits: Limits = DEFAULT_LIMITS, **sampling: Any
    ) -> Estimate:
        """Check a video and say what the model would be shown. Raises UserError as `ask` does.

        `sampling` are any of the request's own `SAMPLING` options, None where the model's applies.
        """
        chosen = chosen_sampling(self._checkpoint.sampling, **sampling)
        info = self._open_video(path, limits, fps=chosen.fps).info
        return estimate(info, chosen, max_tokens=sampling.get("max_video_tokens"))

    def check(self, path: Source, question: str, options: Options) -> Estimate:
        """What a request would show the model. Raises UserError if `ask` could not answer it."""
        options.check(question)
        options.config.check_layers(self.layers)
        estimate = self.estimate(path, limits=options.limits, **options.sampling)
        self._room.check_video(estimate.frames, estimate.video_tokens)
        options.check_cubes(estimate)
        self._check_prompt(estimate, question.strip(), options)
        return estimate

    def plays_in_browsers(self, path: Source, *, limits: Limits = DEFAULT_LIMITS) -> bool:
        """Whether browsers open the file itself. Raises UserError as `estimate` does."""
        return scan(path, limits).plays_in_browsers

    def ask(
        self,
        path: Source,
        question: str,
        options: Options | None = None,
        *,
        stop: threading.Event | None = None,
        conversation: Conversation | None = None,
    ) -> Iterator[Event]:
        """Yield phases and words as they come, and at last the Result.

        `stop` ends it early with what there is (a Result, `stopped`), or with nothing before the
        first word. A `conversation` is what this question follows, and is kept for the next one.
        Raises UserError, before any work, where a value cannot be used.
        """
        options = options or self.options()
        estimate = self.check(path, question, options)
        if conversation is not None:
            self._conversations.add(conversation)

        def work(emit: Callable[[Event], None], gone: threading.Event) -> None:
            def is_unwanted() -> bool:
                return gone.is_set() or (stop is not None and stop.is_set())

            def report(name: str, done: int, total: int) -> None:
                if is_unwanted():
                    raise Stopped
                emit(Phase(name, done, total))

            with self._lock, self._files.request(gone):
                try:
                    self._answer(
                        estimate,
                        question.strip(),
                        options,
                        conversation,
                        emit,
                        report,
                        is_unwanted,
                    )
                except torch.cuda.OutOfMemoryError as error:
                    raise self._too_large(estimate, error) from None

        return streamed(work)

    def rehearse(self, config: AdaSparkConfig, grid: Grid) -> None:
        """Answer about noise of a (T, H, W) grid, so that what it takes is compiled and kept."""
        with self._lock:
            rehearse(self._checkpoint, config, grid)

    def _answer(
        self,
        estimate: Estimate,
        question: str,
        options: Options,
        conversation: Conversation | None,
        emit: Callable[[Event], None],
        report: Report,
        is_unwanted: Callable[[], bool],
    ) -> None:
        with self._known(estimate, options, conversation, report) as known:
            self._check_prompt(estimate, question, options, known.turns)
            sparsify(self._checkpoint.model, options.config, forced=options.forced)
            written = generate(
                self._checkpoint,
                known.features,
                question,
                seconds_per_slice=estimate.seconds_per_slice,
                max_new_tokens=options.max_new_tokens,
                report=report,
                on_text=lambda text: emit(Word(text)),
                drawing=options.drawing,
                scored=options.scored,
                turns=known.turns,
                kept=known.cache,
                is_unwanted=is_unwanted,
            )
        if conversation is not None:
            conversation.add(Turn(question, written.ids))
        features, seconds = known.features, known.seconds | written.seconds
        model = self._checkpoint.model
        written.trace.with_meta(
            question=question,
            answer=written.text,
            seconds=seconds,
            stopped=written.stopped,
            cached_tokens=written.cached_tokens or None,
            model=self.name,
            device=self.device,
            dtype=self.dtype,
            backend=self.backend,
            warnings=[
                *estimate.info.warnings,
                *features.warnings,
                *layers_note(model.model),
                *trained_note(is_bundled=self.is_bundled, frames=len(features.times_secs)),
            ],
            vision_flops=vision_flops(model.config.vision_config, estimate.grid),
            **estimate.facts(
                len(features.times_secs),
                None if features.kept is None else features.kept.tolist(),
            ),
        )
        finish(written.trace, features.times_secs)
        emit(Result(written.text, written.trace, seconds, written.stopped, written.scored_logprob))

    def _known(
        self,
        estimate: Estimate,
        options: Options,
        conversation: Conversation | None,
        report: Report,
    ) -> AbstractContextManager[Known]:
        """What a question is answered from, in the block."""
        sampling = chosen_sampling(self._checkpoint.sampling, **options.sampling)
        clip = self._cache.key(estimate.info.source, sampling)

        def read() -> tuple[Features, dict[str, float]]:
            return self._features(estimate, options, clip, report)

        if conversation is None:
            return nullcontext(Known(*read()))
        return conversation.about(
            clip[0],
            (self._identity, clip, options.config, dict(options.forced), options.keep_tokens),
            read,
            lambda: PromptCache(self._checkpoint.model.config.text_config),
        )

    def _too_large(self, estimate: Estimate, error: BaseException) -> UserError:
        """Frees what is kept, and says what would have fitted."""
        self._cache.clear()
        for conversation in list(self._conversations):
            conversation.release()
        free = free_bytes(error, self._checkpoint.device)
        return self._room.out_of_memory(estimate.frames, estimate.video_tokens, free)

    def _features(
        self, estimate: Estimate, options: Options, key: Key, report: Report
    ) -> tuple[Features, dict[str, float]]:
        seconds = {"decode": 0.0, "vision": 0.0}
        if (found := self._cache.get(key)) is None:
            shown = self._checkpoint
            found, seconds = encode(
                shown,
                estimate.info.source,
                estimate.grid,
                key[1],
                report,
                limits=options.limits,
                open_video=self._open_video,
                into=self._files.entry(*key, shown.mean, shown.std, tokens=estimate.video_tokens),
            )
            self._cache.put(key, found)
        kept = options.keep_tokens
        return (found if kept is None else strongest(found, kept)), seconds

    def _check_prompt(
        self, estimate: Estimate, question: str, options: Options, turns: Sequence[Turn] = ()
    ) -> None:
        times = (estimate.grid[0], estimate.info.duration_secs)
        stamps = times if self._checkpoint.family.frames_apart else None
        text = text_tokens(self._checkpoint.tokenizer, question, turns=turns, stamps=stamps)
        video = options.keep_tokens or estimate.video_tokens
        self._room.check_prompt(video, text, options.max_new_tokens, goes_on=bool(turns))

    def fitting_frames(self, estimate: Estimate) -> int:
        """How many frames of this video leave half of the model's tokens free; at least 2."""
        return self._room.fitting_frames(estimate.frames, estimate.video_tokens)
