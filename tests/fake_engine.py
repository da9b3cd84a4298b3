"""An engine without a model: the real one's face, instant or as slow as a test wants it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from trace_factory import make_trace, pruned_trace

from adaspark.errors import UserError
from adaspark.method.config import AdaSparkConfig
from adaspark.model.conversation import Conversation
from adaspark.model.events import Phase, Result, Word
from adaspark.model.request import Estimate, Options
from adaspark.model.trained import trained_note
from adaspark.trace.flops import Flops, Parts
from adaspark.trace.meta import Counts
from adaspark.video.clip import Opener, Sampling, sample_times, token_grid
from adaspark.video.probe import scan
from app.service.deferred_engine import DeferredEngine

SAMPLING = Sampling(fps=4.0, max_frames=16, min_pixels=56 * 56, max_pixels=112 * 112)
WORDS = (" the", " circle", " is", " red")
LAYERS = 4
SHAPE = {"hidden": 64, "intermediate": 128, "heads": 2, "kv_heads": 1, "head_dim": 32}
HOLD_SECS = 60.0


class FakeEngine:
    """Answers every question with WORDS and a made-up trace of the settings it was given.

    A question that holds "slow" waits `step_secs` before each layer and word; "hold layers" and
    "hold words" wait after the first one until they are stopped; "fail" breaks; "refuse" is the
    user's mistake.
    """

    device, dtype, backend = "cpu", "float32", "none"
    questions = ("What color is the circle?", "slow please")
    default_config = AdaSparkConfig(cube=(2, 2, 2))

    def __init__(self, *, step_secs: float = 0.2, max_video_tokens: int = 100) -> None:
        self._open_video: Opener = scan
        self.step_secs = step_secs
        self.max_video_tokens = max_video_tokens
        self.asked: list[tuple[Path, str, Options]] = []
        self._encoded: set[Path] = set()
        self._read: WeakKeyDictionary[Conversation, Any] = WeakKeyDictionary()
        self._lock = threading.Lock()

    def open_with(self, open_video: Opener) -> None:
        self._open_video = open_video

    def estimate(self, path: Path, *, max_frames: int | None = None, **_: Any) -> Estimate:
        info = self._open_video(path).info
        sampling = replace(SAMPLING, max_frames=max_frames or SAMPLING.max_frames)
        grid = token_grid(info, sampling)
        return Estimate(info, grid, len(sample_times(info, sampling)), grid[2] * 28, grid[1] * 28)

    def options(self, config: AdaSparkConfig, **values: Any) -> Options:
        return Options(config, **values)

    def fitting_frames(self, estimate: Estimate) -> int:
        return max(2, estimate.frames * self.max_video_tokens // (2 * estimate.video_tokens))

    def ask(
        self,
        path: Path,
        question: str,
        options: Options,
        *,
        stop: threading.Event | None = None,
        conversation: Conversation | None = None,
    ) -> Iterator[Phase | Word | Result]:
        if "refuse" in question:
            raise UserError("This question is refused; ask another.")
        options.check_cubes(self.estimate(path, max_frames=options.max_frames))
        self.asked.append((path, question, options))
        with self._lock:
            for event in self._answer(path, question, options, stop or threading.Event()):
                if isinstance(event, Result) and conversation is not None:
                    event.trace.meta.cached_tokens = self._known(conversation, path, options)
                yield event

    def _known(self, conversation: Conversation, path: Path, options: Options) -> int | None:
        """As the real one: what was read last under the same settings is not read again."""
        read = self._read.get(conversation)
        self._read[conversation] = here = (path, options.config, options.sampling)
        return 90 if here == read else None

    def _answer(
        self, path: Path, question: str, options: Options, stop: threading.Event
    ) -> Iterator[Phase | Word | Result]:
        if "fail" in question:
            raise RuntimeError("a secret of the server")
        step_secs = self.step_secs if "slow" in question else 0.0
        for layer in range(LAYERS):
            if stop.wait(HOLD_SECS if layer and "hold layers" in question else step_secs):
                return
            yield Phase("prefill", layer + 1, LAYERS)
        said: list[str] = []
        for word in words_of(options):
            if stop.wait(HOLD_SECS if said and "hold words" in question else step_secs):
                break
            said.append(word)
            yield Word(word)
        yield self._result(path, question, options, said)

    def _result(self, path: Path, question: str, options: Options, said: list[str]) -> Result:
        config, estimate = options.config, self.estimate(path, max_frames=options.max_frames)
        grid, fps = estimate.grid, estimate.info.fps
        answer = "".join(said)
        shape = {"layers": LAYERS, "heads": 2, "question": [question], "answer": said or [" "]}
        if options.keep_tokens is not None:
            trace = pruned_trace(grid, range(options.keep_tokens), **shape)
        else:
            ps = {"attn_top_p": config.attn_top_p, "ffn_top_p": config.ffn_top_p}
            trace = make_trace(grids=[grid], cube=config.cube, **shape, **ps)
        # As a real run's: times of frames that the file has, which is what its player shows.
        times = np.floor(trace.frame_times * fps + 1e-3) / fps
        trace = replace(trace, frame_times=times.astype(trace.frame_times.dtype))
        encoding = 0.0 if path in self._encoded else 0.2
        self._encoded.add(path)
        seconds = {"decode": 0.0, "vision": encoding, "prefill": 0.1, "generate": 0.1}
        trace.with_meta(**_meta(question, answer, seconds), config=config)
        trace.meta.forced = sorted(options.forced.items())
        trace.meta.warnings = trained_note(is_bundled=True, frames=2 * grid[0])
        for word in trace.words:
            word.id, word.logprob = len(word.text), -0.25
        score = -0.25 * len(options.scored) - len(options.forced) if options.scored else None
        return Result(answer, trace, seconds, len(said) < len(WORDS), score)


def words_of(options: Options) -> tuple[str, ...]:
    """What the engine says: a rule other than the method's own sees another colour."""
    return WORDS if options.config.attn_rule == "top_p" else (*WORDS[:-1], " blue")


def loading(engine: Any, *, started: bool = True, gate: Path | None = None) -> DeferredEngine:
    """A fake engine as the app has it, loaded already or not even begun.

    With a `gate`, loading takes until there is something at that path.
    """

    def load() -> Any:
        while gate is not None and not gate.exists():
            time.sleep(0.05)
        return engine

    config = engine.default_config
    face = DeferredEngine(load, name="fake", is_bundled=True, default_config=config)
    if started:
        face.start()
        face.engine()
    return face


def _meta(question: str, answer: str, seconds: dict[str, float]) -> dict[str, Any]:
    dense = Parts(projections=2.0, attention=1.0, ffn=6.0)
    return {
        "question": question,
        "answer": answer,
        "seconds": seconds,
        "counts": Counts(tokens=100, text_tokens=9, weighed_pairs=0),
        "shape": {"layers": LAYERS, **SHAPE},
        "flops": Flops(dense, replace(dense, ffn=3.0), dense),
    }
