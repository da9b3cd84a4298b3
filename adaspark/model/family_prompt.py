"""A question about what is shown, as the model's family writes its prompt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from adaspark.model.families import known_family
from adaspark.model.features import Features
from adaspark.model.prompt import Prompt, Turn, build_prompt, pruned


def family_prompt(
    model: Any,
    tokenizer: Any,
    features: Features,
    question: str,
    *,
    seconds_per_slice: float,
    turns: Sequence[Turn] = (),
) -> Prompt:
    """The question after earlier `turns`, with M-RoPE by the clock, or times written between the
    slices, where the family has them. Of the features, their grid and times alone are read.
    """
    family, step, times = known_family(model.config), 1.0, None
    if family.counts_seconds:
        step = model.config.vision_config.tokens_per_second * seconds_per_slice
    if family.frames_apart:
        times = features.slice_times
    prompt = build_prompt(
        tokenizer,
        question,
        features.grid,
        turns=turns,
        position_step=step,
        slice_times=times,
    )
    return prompt if features.kept is None else pruned(prompt, features.kept)
