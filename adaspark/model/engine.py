"""One question about one video: sampled frames, cached vision features, streamed words, a Trace."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable, Iterator
from typing import Any

from adaspark.errors import UserError
from adaspark.kernels.backend import backend
from adaspark.model import checkpoint
from adaspark.model.features import FeatureCache, Features, Report, encode, strongest
from adaspark.model.generation import generate
from adaspark.model.qwen import sparsify
from adaspark.model.request import Estimate, Event, Options, Phase, Result, Word
from adaspark.model.shown import chosen_sampling, estimate
from adaspark.model.streaming import Stopped, streamed
from adaspark.trace.cost import vision_flops
from adaspark.trace.meta import Clip, Pruned
from adaspark.trace.summary import finish
from adaspark.video.clip import DEFAULT_LIMITS, Limits, Source, probe
from adaspark.video.file import shown_name


class Engine:
    """A loaded model that answers one request at a time; others wait their turn.

    A video of `max_video_tokens` or more is refused: the model's context, or less if so given.
    """

    def __init__(
        self,
        model: str = checkpoint.BUNDLED,
        device: str = "auto",
        *,
        max_video_tokens: int | None = None,
    ) -> None:
        self._checkpoint = checkpoint.load(model, device=device)
        self._cache = FeatureCache()
        self._lock = threading.Lock()
        sparsify(self._checkpoint.model, self._checkpoint.config)
        self.name = model
        self.device = str(self._checkpoint.device)
        self.dtype = str(self._checkpoint.model.dtype).removeprefix("torch.")
        self.backend = backend(self._checkpoint.device).name  # compiled here, not in an answer
        self.is_bundled = model in checkpoint.BUNDLES
        self.default_config = self._checkpoint.config
        context: int = self._checkpoint.model.config.text_config.max_position_embeddings
        self.max_video_tokens = min(context, max_video_tokens or context)

    @property
    def questions(self) -> list[str]:
        """Questions that the model understands; empty where it understands any."""
        if not self.is_bundled:
            return []
        text = (checkpoint.BUNDLED_MODEL / "questions.json").read_text("utf-8")
        return [str(question) for question in json.loads(text)]

    def estimate(
        self, path: Source, *, limits: Limits = DEFAULT_LIMITS, **sampling: Any
    ) -> Estimate:
        """Check a video and say what the model would be shown. Raises UserError as `ask` does.

        `sampling` are any of the request's own `SAMPLING` options, None where the model's applies.
        """
        chosen = chosen_sampling(self._checkpoint.sampling, **sampling)
        info = probe(path, limits, fps=chosen.fps)
        return estimate(info, chosen, max_tokens=sampling.get("max_video_tokens"))

    def ask(
        self,
        path: Source,
        question: str,
        options: Options | None = None,
        *,
        stop: threading.Event | None = None,
    ) -> Iterator[Event]:
        """Yield phases and words as they come, and at last the Result.

        `stop` ends it early with what there is (a Result, `stopped`), or with nothing before the
        first word. Raises UserError, before any work, where a value cannot be used.
        """
        options = options or Options(self.default_config)
        if not question.strip():
            raise UserError("The question is blank: type one.")
        if any("\ud800" <= character <= "\udfff" for character in question):
            raise UserError("The question is not valid Unicode text: type it anew.")
        if options.max_new_tokens < 1:
            raise UserError(f"max_new_tokens must be at least 1, got {options.max_new_tokens}.")
        options.config.check_layers(self._checkpoint.model.config.text_config.num_hidden_layers)
        estimate = self.estimate(path, limits=options.limits, **options.sampling)
        self._check_length(estimate)
        _check_forced(estimate, options)
        _check_kept(estimate, options)

        def work(emit: Callable[[Event], None], gone: threading.Event) -> None:
            def report(name: str, done: int, total: int) -> None:
                if gone.is_set() or (stop is not None and stop.is_set()):
                    raise Stopped
                emit(Phase(name, done, total))

            with self._lock:
                self._answer(estimate, question.strip(), options, emit, report)

        return streamed(work)

    def _answer(
        self,
        estimate: Estimate,
        question: str,
        options: Options,
        emit: Callable[[Event], None],
        report: Report,
    ) -> None:
        features, seconds = self._features(estimate, options, report)
        if options.keep_tokens is not None:
            features = strongest(features, options.keep_tokens)
        sparsify(self._checkpoint.model, options.config, forced=options.forced)
        written = generate(
            self._checkpoint,
            features,
            question,
            seconds_per_slice=estimate.seconds_per_slice,
            max_new_tokens=options.max_new_tokens,
            report=report,
            on_text=lambda text: emit(Word(text)),
            drawing=options.drawing,
            scored=options.scored,
        )
        seconds |= written.seconds
        written.trace.with_meta(
            question=question,
            answer=written.text,
            seconds=seconds,
            stopped=written.stopped,
            **self._facts(estimate, features),
        )
        finish(written.trace, features.times_secs)
        emit(Result(written.text, written.trace, seconds, written.stopped, written.scored_logprob))

    def _facts(self, estimate: Estimate, features: Features) -> dict[str, Any]:
        """What a trace should say of the model and of the video as it was shown."""
        info = estimate.info
        clip = Clip(
            name=shown_name(info.path),
            width=info.width,
            height=info.height,
            shown_width=estimate.shown_width,
            shown_height=estimate.shown_height,
            fps=len(features.times_secs) / info.duration_secs,
            duration_secs=info.duration_secs,
            frames=len(features.times_secs),
        )
        facts = {
            "model": self.name,
            "device": self.device,
            "dtype": self.dtype,
            "backend": self.backend,
            "clip": clip,
            "warnings": [*info.warnings, *features.warnings],
            "vision_flops": vision_flops(
                self._checkpoint.model.config.vision_config, estimate.grid
            ),
        }
        if features.kept is not None:
            facts["pruned"] = Pruned(features.grid, features.kept.tolist())
        return facts

    def _features(
        self, estimate: Estimate, options: Options, report: Report
    ) -> tuple[Features, dict[str, float]]:
        source = estimate.info.source
        sampling = chosen_sampling(self._checkpoint.sampling, **options.sampling)
        key = self._cache.key(source, sampling)
        if (found := self._cache.get(key)) is not None:
            return found, {"decode": 0.0, "vision": 0.0}
        features, seconds = encode(
            self._checkpoint, source, estimate.grid, sampling, report, limits=options.limits
        )
        self._cache.put(key, features)
        return features, seconds

    def _check_length(self, estimate: Estimate) -> None:
        if estimate.video_tokens >= self.max_video_tokens:
            raise UserError(
                f"This video takes {estimate.video_tokens:,} tokens and the model holds "
                f"{self.max_video_tokens:,}: show it at most {self.fitting_frames(estimate)} "
                "frames."
            )

    def fitting_frames(self, estimate: Estimate) -> int:
        """How many frames of this video leave half of the model's tokens free; at least 2."""
        return max(2, estimate.frames * self.max_video_tokens // (2 * estimate.video_tokens))


def _check_forced(estimate: Estimate, options: Options) -> None:
    sides = zip(estimate.grid, options.config.cube, strict=True)
    cubes = math.prod(-(-extent // side) for extent, side in sides)
    if wrong := [cube for cube in options.forced if not 0 <= cube < cubes]:
        raise UserError(f"There is no cube {wrong[0]}: this video has {cubes}, counted from 0.")


def _check_kept(estimate: Estimate, options: Options) -> None:
    if (kept := options.keep_tokens) is None:
        return
    if not 1 <= kept <= estimate.video_tokens:
        raise UserError(f"keep_tokens must be 1 to {estimate.video_tokens:,}, got {kept}.")
    if options.forced:
        raise UserError("Pruned tokens stand in a row without cubes: force none of them.")
