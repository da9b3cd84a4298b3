"""Interventions: cubes forced on or off for every query, head and layer; and scored answers."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import gradio
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from models import prompt, tiny_model
from torch import Tensor

from adaspark import record, restore, sparsify
from adaspark.errors import UserError
from adaspark.kernels.backend import use_backend
from adaspark.method import reference
from adaspark.method.config import DENSE, AdaSparkConfig
from adaspark.method.rules import CUBE_RULES, Rule
from adaspark.method.selection import keep_cubes
from adaspark.model.engine import Engine
from adaspark.model.events import Result
from adaspark.model.request import Options
from adaspark.trace.trace import Trace

CUBE = (2, 2, 3)
CONFIG = AdaSparkConfig(CUBE, 0.5, 0.5)
GRIDS = [(6, 4, 6)]
FIRST, LAST = 0, 11
CLIP = Path(gradio.__file__).parent / "media_assets" / "videos" / "b.mp4"


@pytest.fixture(scope="module")
def stock() -> Any:
    return tiny_model()


@torch.no_grad()
def run(model: Any, config: AdaSparkConfig, forced: dict[int, bool]) -> tuple[Tensor, Trace]:
    sparse = sparsify(copy.deepcopy(model), config, forced=forced)
    with record(sparse) as trace:
        output = sparse(**prompt(GRIDS)).logits
    return output, trace


def attended(trace: Trace, cube: int) -> np.ndarray[Any, Any]:
    """Whether any token of another cube (rows), or any word, attends to a cube."""
    others = trace.query_cubes != cube
    words = trace.word_mask()[..., cube].any((0, 2))
    return np.concatenate([trace.kept_share[:, others, cube].any(0), words])


@given(
    st.lists(st.booleans(), min_size=1, max_size=20),
    st.dictionaries(st.integers(0, 25), st.booleans(), max_size=6),
    st.sampled_from(CUBE_RULES),
    st.sampled_from([0.0, 0.4, 1.0]),
)
def test_every_rule_obeys_as_its_slow_twin_does(
    mask: list[bool], forced: dict[int, bool], name: str, amount: float
) -> None:
    rule = Rule(name, amount, tuple(forced.items()))
    candidates = [i for i, is_one in enumerate(mask) if is_one]
    mass = torch.tensor(mask) / max(len(candidates), 1)
    kept = keep_cubes(mass[None], torch.tensor(mask), rule)[0]
    free = keep_cubes(mass[None], torch.tensor(mask), Rule(name, amount))[0]
    assert set(kept.nonzero().flatten().tolist()) == reference.keep(
        mass.tolist(), candidates, rule, 0
    )
    for cube in range(len(mask)):
        wanted = mask[cube] and forced[cube] if cube in forced else bool(free[cube])
        assert bool(kept[cube]) == wanted


@pytest.mark.parametrize("config", [CONFIG, AdaSparkConfig(CUBE, 1.0, 1.0)])
def test_a_cube_forced_off_is_attended_to_by_its_own_tokens_alone(
    stock: Any, config: AdaSparkConfig
) -> None:
    free, before = run(stock, config, {})
    output, trace = run(stock, config, {FIRST: False})
    assert attended(before, FIRST).any() and not attended(trace, FIRST).any()
    own = trace.query_cubes == FIRST
    assert trace.kept_share[:, own, FIRST].all()
    assert not torch.allclose(output, free, atol=1e-3)
    assert trace.meta.forced == [(FIRST, False)] and not before.meta.forced


def test_a_cube_forced_on_is_attended_to_by_all_that_may_see_it(stock: Any) -> None:
    _, trace = run(stock, CONFIG, {FIRST: True})
    later = trace.query_cubes > 3  # the first slab sees it in part
    assert (trace.kept_share[:, later, FIRST] == 255).all()
    question = [i for i, word in enumerate(trace.words) if word.kind == "question"]
    assert trace.word_mask()[:, question][..., FIRST].all()


def test_forcing_what_is_kept_anyway_changes_nothing(stock: Any) -> None:
    nothing, _ = run(stock, AdaSparkConfig(CUBE, 0.0, 1.0), {})
    still, _ = run(stock, AdaSparkConfig(CUBE, 0.0, 1.0), {LAST: False})
    assert torch.equal(nothing, still)
    everything, _ = run(stock, DENSE, {})
    same, _ = run(stock, DENSE, {FIRST: True, LAST: True})
    assert torch.equal(everything, same)


def test_interventions_end_with_the_next_call(stock: Any) -> None:
    model, inputs = copy.deepcopy(stock), prompt(GRIDS)
    with torch.no_grad():
        free = sparsify(model, CONFIG)(**inputs).logits
        forced = sparsify(model, CONFIG, forced={FIRST: False})(**inputs).logits
        assert not torch.equal(forced, free)
        assert torch.equal(sparsify(model, CONFIG)(**inputs).logits, free)
        assert torch.equal(restore(model)(**inputs).logits, stock(**inputs).logits)


def test_the_fast_path_obeys_as_the_reference_does(stock: Any) -> None:
    forced = {FIRST: False, 5: True, LAST: False}
    fast, _ = run(stock, CONFIG, forced)
    with use_backend("reference"):
        slow, _ = run(stock, CONFIG, forced)
    assert (fast - slow).abs().max() <= 1e-4


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine()


def asked(engine: Engine, **changes: Any) -> Result:
    options = Options(engine.default_config, max_frames=4, max_new_tokens=6, **changes)
    *_, last = engine.ask(CLIP, "what color is the circle ?", options)
    assert isinstance(last, Result)
    return last


def test_an_answer_scores_what_it_was_written_with(engine: Engine) -> None:
    free = asked(engine)
    assert free.logprob is not None and free.logprob <= 0 and free.scored_logprob is None
    again = asked(engine, scored=free.answer_ids)
    assert again.answer == free.answer and len(again.trace.words) == len(free.trace.words)
    assert again.scored_logprob == pytest.approx(free.logprob, abs=1e-3)
    shorter = asked(engine, scored=free.answer_ids[:1])
    first = next(w.logprob for w in free.trace.words if w.kind == "answer")
    assert shorter.scored_logprob == pytest.approx(first, abs=1e-3)


def test_an_intervention_moves_the_answers_log_probability(engine: Engine) -> None:
    free = asked(engine)
    cubes = len(free.trace.bounds)
    off = dict.fromkeys(range(cubes), False)
    forced = asked(engine, forced=off, scored=free.answer_ids)
    assert forced.scored_logprob is not None and free.logprob is not None
    assert abs(forced.scored_logprob - free.logprob) > 1e-4
    assert asked(engine).logprob == pytest.approx(free.logprob)
    with pytest.raises(UserError, match=f"no cube {cubes}: this video has {cubes}"):
        asked(engine, forced={cubes: True})
