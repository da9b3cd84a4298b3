"""How near the sparse computation stays to the dense one: laws of the choices, on tensors and on
the bundled model.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import pytest
import torch
from evaluated import context, loaded
from hypothesis import given, settings
from hypothesis import strategies as st

from adaspark.errors import UserError
from adaspark.eval.fidelity import recall as choice
from adaspark.eval.fidelity import run as fidelity
from adaspark.eval.fidelity.compensation import recording_branches, skip_errors
from adaspark.eval.fidelity.report import failures, findings
from adaspark.eval.fidelity.tables import (
    BASELINES,
    ahead,
    answer,
    caught,
    gained,
    own_p,
    ps_of,
    realised,
)
from adaspark.eval.harness.clips import Length, mixed_clips
from adaspark.eval.harness.conditions import DENSE_CONDITION
from adaspark.eval.harness.recorded_rows import KINDS, Rows
from adaspark.eval.report.results import load
from adaspark.method.layout import CubeLayout
from adaspark.method.selection import masked_softmax

PLAN = fidelity.Plan(items=3, lengths=("32x112",), ps=(0.5, 0.7), video_rows=6)


@cache
def folder() -> Path:
    place = Path(mkdtemp())
    running = context(place, PLAN)
    fidelity.run(PLAN, running)
    fidelity.draw(running.results)
    return place


@cache
def items() -> list[dict[str, Any]]:
    return load(folder()).items


def drawn(seed: int, *, text: bool, cubes: int = 9, size: int = 4) -> Rows:
    """Rows as a model would leave them: a router that is near the truth, and causal video rows."""
    generator = torch.Generator().manual_seed(seed)
    heads, count = (2, 3), 5
    last = cubes * size - 1
    token = torch.randint(0, last, (count,), generator=generator).sort().values
    before = torch.full((count,), last + 1) if text else token + 1
    starts = torch.arange(cubes) * size
    visible = (before[:, None] - starts).clamp(0, size)
    own = torch.zeros_like(visible).bool()
    if not text:
        own[torch.arange(count), token // size] = True
    scores = 3 * torch.randn(*heads, count, cubes, generator=generator)
    mass = 0.8 * masked_softmax(scores, visible > 0)
    noisy = scores + torch.randn(scores.shape, generator=generator)
    probs = masked_softmax(noisy, (visible > 0) & ~own)
    return Rows(
        torch.zeros_like(probs).bool(), probs, mass, visible, own, 100 + torch.arange(count)
    )


ROWS = st.builds(drawn, st.integers(0, 10**6), text=st.booleans())


@settings(deadline=None)
@given(ROWS, st.floats(0.05, 0.98))
def test_choices_are_as_dense_as_top_p_and_the_oracle_is_the_best_of_its_size(
    rows: Rows, p: float
) -> None:
    found = choice.choices(rows, p)
    wanted = found["top-p"].sum()
    for name, kept in found.items():
        assert not (kept & ~rows.candidates).any(), name
        assert kept.sum() >= wanted, name
        if name not in ("top-p", "oracle"):  # one share, rounded up in each row
            most = wanted + kept.shape[:-1].numel()
            assert kept.sum() <= most, name
    assert torch.equal(found["oracle"].sum(-1), found["top-p"].sum(-1))
    assert (
        choice.recall(rows, found["oracle"]) >= choice.recall(rows, found["top-p"]) - 1e-6
    ).all()


@settings(deadline=None)
@given(ROWS)
def test_everything_catches_everything_and_nothing_the_own_cube(rows: Rows) -> None:
    for kept in choice.choices(rows, 1.0).values():
        torch.testing.assert_close(choice.recall(rows, kept), torch.ones(2, 3, 5))
        assert choice.density(rows, kept) == 1
    promised = choice.realised(rows, 1.0)
    assert torch.allclose(promised[promised.isfinite()], torch.ones(()))
    for kept in choice.choices(rows, 0.0).values():
        assert not kept.any()
        own = (rows.mass * rows.own).sum(-1) / rows.mass.sum(-1)
        torch.testing.assert_close(choice.recall(rows, kept), own)


@settings(deadline=None)
@given(ROWS, st.floats(0.05, 0.98))
def test_runs_read_as_many_tokens_and_not_one_cube_more(rows: Rows, p: float) -> None:
    kept = choice.choices(rows, p)["top-p"]
    tokens = choice.tokens_read(rows, kept)
    found = choice.reaching(rows, tokens)
    assert (choice.tokens_read(rows, found) >= tokens).all()
    least = torch.where(found, rows.probs, torch.inf).argmin(-1, keepdim=True)
    fewer = found.scatter(-1, least, False)
    short = choice.tokens_read(rows, fewer) < tokens
    assert (short | ~found.any(-1)).all()
    wider = drawn(
        3, text=True, cubes=6, size=7
    )  # other cubes: the ones that the router ranks first
    taken = choice.reaching(wider, torch.full((2, 3, 5), 15))
    assert (taken.sum(-1) == 3).all()
    left = wider.probs.masked_fill(taken, 0).amax(-1)
    assert (torch.where(taken, wider.probs, torch.inf).amin(-1) >= left).all()


def test_a_router_that_knows_keeps_its_promise() -> None:
    rows = drawn(1, text=True)
    knowing = Rows(rows.kept, rows.mass / 0.8, rows.mass, rows.visible, rows.own, rows.places)
    for p in (0.3, 0.6, 0.9):
        assert (choice.realised(knowing, p) >= p - 1e-6).all()
        found = choice.choices(knowing, p)
        assert torch.equal(found["oracle"], found["top-p"])


def test_skipping_errs_as_written_out() -> None:
    layout = CubeLayout([(3, 3, 2)], (2, 2, 2))
    generator = torch.Generator().manual_seed(0)
    inputs, outputs = torch.randn(2, 2, 1, layout.tokens, 5, generator=generator)
    found = skip_errors(inputs, outputs, layout, 0.6)
    for layer in range(2):
        x, f = inputs[layer, 0].numpy(), outputs[layer, 0].numpy()
        cube = layout.cube_from_token.numpy()
        left = own = block = skipped = 0.0
        for c in range(layout.cubes):
            tokens = sorted(np.flatnonzero(cube == c), key=lambda t: -np.linalg.norm(x[t]))
            weights = np.array([np.linalg.norm(x[t]) for t in tokens])
            passing = int((weights.cumsum() / weights.sum() < 0.6).sum()) + 1
            mean = f[tokens[:passing]].mean(0)
            for t in tokens[passing:]:
                skipped += 1
                left += ((f[t] - mean) ** 2).sum()
                own += (f[t] ** 2).sum()
                block += ((x[t] + f[t]) ** 2).sum()
        assert float(found.passed[layer, 0]) == pytest.approx(1 - skipped / layout.tokens)
        assert float(found.branch[layer, 0]) == pytest.approx((left / own) ** 0.5, rel=1e-5)
        assert float(found.mean[layer, 0]) == pytest.approx((left / block) ** 0.5, rel=1e-5)
        assert float(found.bypass[layer, 0]) == pytest.approx((own / block) ** 0.5, rel=1e-5)
    assert skip_errors(inputs, outputs, layout, 1.0).mean.isnan().all()


def test_equal_outputs_are_compensated_without_error() -> None:
    layout = CubeLayout([(2, 4, 4)], (2, 2, 2))
    inputs = torch.randn(1, 1, layout.tokens, 3, generator=torch.Generator().manual_seed(2))
    outputs = torch.randn(layout.cubes, 3)[layout.cube_from_token].expand_as(inputs)
    found = skip_errors(inputs, outputs, layout, 0.4)
    assert float(found.mean) < 1e-5 < 0.1 < float(found.bypass)
    kept = torch.ones(1, 1, layout.tokens).bool()
    assert torch.allclose(layout.kept_means(outputs, kept)[..., layout.cube_from_token, :], outputs)


@pytest.mark.long
def test_recording_branches_changes_nothing_and_ends() -> None:
    running = context(folder(), PLAN)
    clips = mixed_clips(Length(16, 112), items=1, families=["needle"])
    alone = running.runner.run(clips, DENSE_CONDITION)
    with recording_branches(loaded().model) as branches:
        assert running.runner.run(clips, DENSE_CONDITION) == alone
        inputs, outputs = branches.take(6)
        assert inputs.shape == outputs.shape == (6, 1, inputs.shape[2], 256)
        assert not branches.inputs and not branches.outputs
    assert running.runner.run(clips, DENSE_CONDITION) == alone
    assert not branches.inputs and not branches.outputs


def test_divergence_is_kullback_and_leibler_s() -> None:
    dense = torch.tensor([[0.5, 0.25, 0.25], [0.1, 0.8, 0.1]]).log()
    sparse = torch.tensor([[0.5, 0.25, 0.25], [0.6, 0.3, 0.1]]).log()
    found = fidelity.divergence(dense, sparse, [0, 1])
    expected = (0.1 * np.log(0.1 / 0.6) + 0.8 * np.log(0.8 / 0.3)) / 2
    assert found["kl"] == pytest.approx(expected, abs=1e-5)
    assert (found["first"], found["any"]) == (False, True)
    assert found["lost"] == pytest.approx(np.log(0.8 / 0.3), abs=1e-5)
    same = fidelity.divergence(dense, dense, [2, 0])
    assert same == {"kl": 0.0, "first": False, "any": False, "lost": 0.0}


@pytest.mark.parametrize("baseline", ["uniform", "random", "recent"])
def test_top_p_catches_more_than_blind_choices_as_dense(baseline: str) -> None:
    for kind in KINDS:
        assert ahead(items(), kind, own_p(items()), baseline).low > 0, kind


def test_density_and_recall_fall_with_p() -> None:
    ps = ps_of(items())
    assert ps == ["0.5", "0.7", "0.9"]
    for kind in KINDS:
        for what in ("density", "mean"):
            falls = np.diff([caught(items(), kind, p, "top-p", what) for p in ps], axis=0)
            assert (falls >= 0).all() and falls.mean() > 0
        assert realised(items(), kind, "0.5").value < realised(items(), kind, "0.9").value


def test_baselines_are_as_dense() -> None:
    """For text, which sees whole cubes; what is rounded up is less than a cube a row."""
    for kind in ("question", "answer"):
        for p in ps_of(items()):
            for rule in (*BASELINES, "oracle"):
                more = caught(items(), kind, p, rule, "density") - caught(
                    items(), kind, p, "top-p", "density"
                )
                assert (more > -1e-4).all() and (more < 1 / 32 + 1e-4).all(), (rule, more)


def test_the_mean_errs_less_than_bypass() -> None:
    assert all(gain.low > 0 for gain in gained(items()))


def test_the_report_says_whether_cubes_beat_runs() -> None:
    said = {True: " ".join(findings(items())), False: " ".join(failures(items()))}
    for kind in KINDS:
        lead = ahead(items(), kind, own_p(items()), choice.RUNS)
        place = said[lead.low > 0]
        words = "cubes beat 1-D runs" if lead.low > 0 else "1-D runs"
        assert f"{kind} queries: {words}" in place or f"{kind} queries: cubes do not" in place


def test_answers_move_the_more_the_less_is_kept() -> None:
    for condition in ("AdaSpark", "attention only", "FFN only", "FFN only, bypass"):
        assert answer(items(), condition, "kl").value > 0
    harsh = context(Path(mkdtemp()), PLAN)
    harsh.config = type(harsh.config)((2, 2, 2), 0.0, 0.0)
    clips = mixed_clips(Length(32, 112), items=1)
    found = fidelity._answers(harsh, clips)
    lost = [q["arms"]["AdaSpark"]["kl"] for item in found for q in item["questions"]]
    assert np.mean(lost) > answer(items(), "AdaSpark", "kl").value


@pytest.mark.long
def test_the_page_is_drawn_from_saved_items() -> None:
    page = (folder() / "index.html").read_text("utf-8")
    assert "A question beyond the paper" in page and page.count("<img") == 4
    results = load(folder())
    fidelity.draw(results)
    assert (folder() / "index.html").read_text("utf-8") == page


def test_sentences_follow_the_numbers() -> None:
    made = copy.deepcopy(items())
    for number, item in enumerate(made):
        for kind in KINDS:
            found = item["attention"][kind]
            for rule in BASELINES:
                found["recall"]["0.9"][rule]["mean"] = 0.99 + 1e-4 * (number % 3)
            found["recall"]["0.9"]["top-p"]["mean"] = 0.5
            found["realised"]["0.9"] = [0.95] * 6
        item["ffn"]["0.7"]["bypass"] = item["ffn"]["0.7"]["mean"]
    said = " ".join(failures(made))
    assert said.count("catches less than top-k") == 3 and said.count("1-D runs beat cubes") == 3
    assert "promises" not in said and "is not shown to err less than bypass" in said
    assert "errs less" not in " ".join(findings(made))


def test_thresholds_by_layer_are_refused(tmp_path: Path) -> None:
    running = context(tmp_path, PLAN)
    running.config = replace(running.config, attn_top_p=(0.9,) * 6)
    with pytest.raises(UserError, match="one threshold for all layers"):
        fidelity.run(PLAN, running)
    assert not running.results.items


@pytest.mark.parametrize("wrong", [{"ps": (0.5, 1.0)}, {"items": 0}])
def test_plans_that_measure_nothing_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UserError):
        fidelity.Plan(**wrong)
