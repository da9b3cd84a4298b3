"""Questions about one clip, put one after the other or in one prompt, and what must agree."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from adaspark.method.config import AdaSparkConfig
from adaspark.model import generation
from adaspark.model.conversation import Conversation
from adaspark.model.engine import Engine
from adaspark.model.events import Result
from adaspark.model.generation import Written
from adaspark.model.prompt import Turn
from adaspark.model.prompt_cache import PromptCache
from adaspark.model.qwen import record, sparsify
from adaspark.model.request import Options
from adaspark.model.shown import chosen_sampling
from adaspark.trace.summary import finish
from adaspark.trace.trace import Trace

QUESTIONS = ("what color is the circle ?", "how many are there ?", "which one comes first ?")


SPARSE = AdaSparkConfig((2, 2, 2), 0.6, 0.5)


DENSE = AdaSparkConfig((2, 2, 2), 1, 1)


SHOWN = {"max_frames": 4, "max_pixels": 84 * 112, "min_pixels": 56 * 56}


WORDS = 6


MODELS = ("mini", "qwen2_5_vl", "qwen3_vl", "qwen3_5")


class Case(NamedTuple):
    """An engine and the video that it is asked about."""

    engine: Engine
    clip: Path


def options(config: AdaSparkConfig = SPARSE, **changes: Any) -> Options:
    return Options(config, **{**SHOWN, "max_new_tokens": WORDS, **changes})


def asked(
    case: Case, question: str, conversation: Conversation | None = None, **changes: Any
) -> Result:
    chosen = options(**changes)
    *_, last = case.engine.ask(case.clip, question, chosen, conversation=conversation)
    assert isinstance(last, Result)
    return last


def whole(
    case: Case, question: str, turns: list[Turn], config: AdaSparkConfig, *, recorded: bool = True
) -> Written:
    """The answer to a prompt that is read in one piece, earlier turns and all."""
    return written(case, question, turns, config, None, recorded=recorded)


def written(
    case: Case,
    question: str,
    turns: list[Turn],
    config: AdaSparkConfig,
    kept: PromptCache | None,
    *,
    recorded: bool,
) -> Written:
    engine = case.engine
    sampling = chosen_sampling(engine._checkpoint.sampling, **SHOWN)
    key = engine._cache.key(case.clip, sampling)
    if (features := engine._cache.get(key)) is None:
        asked(case, QUESTIONS[0])
        features = engine._cache.get(key)
    assert features is not None
    sparsify(engine._checkpoint.model, config)
    found = generation.generate(
        engine._checkpoint,
        features,
        question,
        seconds_per_slice=engine.estimate(case.clip, **SHOWN).seconds_per_slice,
        max_new_tokens=WORDS,
        report=lambda *_: None,
        on_text=lambda _: None,
        turns=turns,
        kept=kept,
        recording=record if recorded else lambda _: nullcontext(Trace()),
    )
    if recorded:
        finish(found.trace, features.times_secs)
    return found


def assert_same_trace(mine: Trace, fresh: Trace) -> None:
    """All but what kernels computed beyond what was chosen, which follows how rows are batched."""
    for field in fields(Trace):
        if field.name in ("meta", "executed_pairs"):
            continue
        values, expected = getattr(mine, field.name), getattr(fresh, field.name)
        if values.dtype.kind == "f":
            np.testing.assert_allclose(
                values.astype(float), expected.astype(float), 2e-3, 2e-3, err_msg=field.name
            )
        else:
            np.testing.assert_array_equal(values, expected, err_msg=field.name)
    told = [replace(word, logprob=None) for word in mine.words]
    assert told == [replace(word, logprob=None) for word in fresh.words]
    assert mine.meta.counts == fresh.meta.counts
    assert mine.meta.flops.sparse == fresh.meta.flops.sparse
    assert mine.meta.flops.dense == fresh.meta.flops.dense
