"""The runner's outcomes are those of the product's path, question by question."""

from __future__ import annotations

import random
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

from adaspark.eval.harness.clip import Clip
from adaspark.eval.harness.conditions import DENSE_CONDITION, Condition
from adaspark.eval.harness.runner import Record, RecordedBatch, Runner
from adaspark.method.config import AdaSparkConfig
from adaspark.method.layout import CubeLayout
from adaspark.mini.questions.families import questions, score
from adaspark.mini.world.seeds import HELD_OUT_SEED
from adaspark.mini.world.settings import SceneSettings
from adaspark.mini.world.world import sample_scene
from adaspark.model import checkpoint
from adaspark.model.features import Features
from adaspark.model.generation import Written, generate
from adaspark.model.qwen import restore, sparsify
from adaspark.trace.cost import flops, vision_flops

FRAMES, SIZE = 16, (112, 112)
SPARSE = Condition("adaspark", AdaSparkConfig((2, 2, 2), 0.5, 0.4))
HARSH = Condition("harsh", AdaSparkConfig((2, 2, 2), 0.0, 0.0))


@cache
def loaded() -> checkpoint.Checkpoint:
    return checkpoint.load(device="cpu")


@cache
def runner() -> Runner:
    return Runner(loaded())


@cache
def clips() -> tuple[Clip, ...]:
    made = []
    for index, asked in enumerate((3, 2)):
        seed = HELD_OUT_SEED + 77 + index
        scene = sample_scene(seed, SceneSettings(FRAMES, SIZE, (2, 3)))
        found = questions(scene, random.Random(seed), count=asked, loose=False)
        made.append(Clip(scene, FRAMES, SIZE, tuple(found), seed))
    return tuple(made)


def product(clip: Clip, index: int, condition: Condition) -> Written:
    """What the engine's own words and trace are for one question."""
    shown = runner().features([clip], condition)
    grid = shown.grid
    features = Features(shown.features[0], grid, [0.0] * 2 * grid[0])
    sparsify(loaded().model, condition.config)
    try:
        return generate(
            loaded(), features, clip.questions[index].text,
            seconds_per_slice=shown.position_step / 2, max_new_tokens=8,
            report=lambda *_: None, on_text=lambda _: None,
        )  # fmt: skip
    finally:
        restore(loaded().model)


@pytest.mark.parametrize(
    "condition",
    [SPARSE, HARSH, Condition("fewer frames", frames=0.5)],
    ids=lambda condition: condition.name,
)
def test_an_outcome_is_that_of_the_product(condition: Condition) -> None:
    outcomes = runner().run(clips(), condition)
    assert [len(row) for row in outcomes] == [3, 2]
    for clip, row in zip(clips(), outcomes, strict=True):
        for index, (question, outcome) in enumerate(zip(clip.questions, row, strict=True)):
            written = product(clip, index, condition)
            assert outcome.answer == written.text
            assert outcome.correct == score(question, written.text)
            assert (outcome.question, outcome.expected) == (question.text, question.answer)
            assert outcome.density["attention"] == pytest.approx(written.trace.attention_density)
            assert outcome.density["ffn"] == pytest.approx(written.trace.ffn_density)
            if condition.frames is None:
                counted = flops(written.trace)
                assert outcome.flops["dense"] == counted.dense.total
                assert outcome.flops["sparse"] == counted.sparse.total
                assert outcome.flops["reduction"] == pytest.approx(counted.reduction)


def test_dense_is_dense() -> None:
    for outcome in (o for row in runner().run(clips(), DENSE_CONDITION) for o in row):
        assert set(outcome.density.values()) == {1.0}
        assert outcome.flops["reduction"] == 0 and outcome.flops["dense"] == outcome.flops["sparse"]
        assert outcome.hit in (None, 1.0)
        assert outcome.logprob < 0


def test_a_hit_is_a_layer_and_head_that_chose_the_asked_object_s_cube() -> None:
    """Recomputed from what the product records, for the prompt's own rows."""
    recorded: list[RecordedBatch] = []
    outcomes = runner().run(clips(), SPARSE, record=Record(recorded.append))
    (batch,) = recorded
    layout = CubeLayout([(8, 4, 4)], (2, 2, 2))
    found = 0
    for row, clip in enumerate(clips()):
        for index, question in enumerate(clip.questions):
            if question.event is None:
                assert outcomes[row][index].hit is None
                continue
            tokens = batch.truth[row, :, question.event].nonzero().flatten()
            cubes = layout.cube_from_token[tokens].unique().numpy()  # type: ignore[no-untyped-call]
            assert len(cubes)
            trace = product(clip, index, SPARSE).trace
            after = [i for i, w in enumerate(trace.words) if w.position > 20]
            final = max(i for i, w in enumerate(trace.words) if w.kind != "answer")
            assert (
                outcomes[row][index].hit_last
                == trace.word_mask()[:, final][..., cubes].any(-1).mean()
            )
            if outcomes[row][index].correct == 1:  # then the words fed back were the same
                chosen = trace.word_mask()[:, after][..., cubes].any((1, 3))
                assert outcomes[row][index].hit == chosen.mean()
                assert outcomes[row][index].hit_any == chosen.any()
                found += 1
    assert found


def test_batches_change_nothing() -> None:
    together = runner().run(clips(), SPARSE)
    one_by_one = Runner(loaded(), tokens=1).run(clips(), SPARSE)
    for mine, alone in zip(together, one_by_one, strict=True):
        for a, b in zip(mine, alone, strict=True):
            assert a.logprob == pytest.approx(b.logprob, abs=1e-3)
            assert (a.answer, a.hit) == (b.answer, b.hit)
            assert a.density == pytest.approx(b.density) and a.flops == pytest.approx(b.flops)


def test_observing_records_what_running_records() -> None:
    recorded: list[RecordedBatch] = []
    runner().run(clips(), SPARSE, record=Record(recorded.append, video_rows=3))
    runner().observe(clips(), SPARSE, Record(recorded.append, video_rows=3))
    ran, read = recorded
    for one, two in zip(ran.decisions.layers, read.decisions.layers, strict=True):
        assert torch.equal(one.kept, two.kept) and torch.equal(one.pairs, two.pairs)
    for mine, theirs in zip(ran.log_probs, read.log_probs, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(mine, theirs, strict=True))


def test_a_clip_without_questions_has_no_outcomes() -> None:
    empty = Clip(clips()[0].scene, FRAMES, SIZE, (), 1)
    assert runner().run([empty], SPARSE) == [[]]
    assert [len(row) for row in runner().run([empty, clips()[1]], SPARSE)] == [0, 2]


def test_baselines_show_less_and_are_compared_with_the_whole_clip() -> None:
    shown = runner().features(clips(), Condition("half", frames=0.5))
    assert shown.grid == (4, 4, 4) and shown.position_step == 2.0
    whole = runner().run(clips(), DENSE_CONDITION)[0][0].flops
    tower = loaded().model.config.vision_config
    for condition, grid in (
        (Condition("half", frames=0.5), (4, 4, 4)),
        (Condition("pruned", prune=0.5), (8, 4, 4)),
    ):
        counted = runner().run(clips(), condition)[0][0].flops
        assert counted["dense"] == whole["dense"] and counted["vision_dense"] == whole["vision"]
        assert 0.4 < counted["reduction"] < 0.7
        assert counted["vision"] == vision_flops(tower, grid)


def test_pruning_nothing_is_dense_and_pruned_tokens_are_gone() -> None:
    dense = runner().run(clips(), DENSE_CONDITION)
    for mine, theirs in zip(runner().run(clips(), Condition("all", prune=1.0)), dense, strict=True):
        for a, b in zip(mine, theirs, strict=True):
            assert a.logprob == pytest.approx(b.logprob, abs=1e-4) and a.answer == b.answer
    recorded: list[RecordedBatch] = []
    runner().run(clips(), Condition("pruned", prune=0.3), record=Record(recorded.append))
    geometry, norms = recorded[0].geometry, runner().features(clips()).features.norm(dim=-1)
    assert geometry.layout.tokens == round(0.3 * 128)
    places = geometry.shape.positions[:, :, geometry.video]
    whole = Condition("dense")
    runner().run(clips(), whole, record=Record(recorded.append))
    full = recorded[1].geometry.shape.positions[:, recorded[1].geometry.video]
    for clip in range(2):
        left = norms[clip].topk(geometry.layout.tokens).indices.sort().values
        assert torch.equal(places[:, clip], full[:, left])


def test_controls_hide_the_pictures_or_their_order() -> None:
    plain = runner().features(clips())
    blind = runner().features(clips(), Condition("blind", control="blind")).features
    assert torch.allclose(blind[0, :16], blind[1, 16:32], atol=1e-4)  # every slice looks the same
    mixed = runner().features(clips(), Condition("mixed", control="shuffled"))
    assert not torch.equal(mixed.features, plain.features)
    assert mixed.truth.any((1,)).tolist() == plain.truth.any((1,)).tolist()


def test_what_is_recorded_on_request() -> None:
    recorded: list[RecordedBatch] = []
    record = Record(recorded.append, mass=True, norms=True, video_rows=5)
    runner().run(clips(), SPARSE, record=record)
    (batch,) = recorded
    first = batch.decisions.layers[0]
    rows = 5 + 3 * batch.geometry.block_tokens
    assert first.mass is not None and first.mass.shape == (2, 4, rows, 16)
    assert first.ffn_in is not None and (first.ffn_in > 0).all()
    assert batch.decisions.rows is not None and len(batch.decisions.rows) == rows
    span = batch.spans[1][0]
    log_probs = batch.log_probs[1][0]
    assert len(log_probs) == len(span.answer) + 1  # the end token is predicted, never fed back
    torch.testing.assert_close(log_probs.exp().sum(-1), torch.ones(len(log_probs)))


@pytest.mark.parametrize(
    "condition",
    [
        Condition("oracle", SPARSE.config, oracle=True),
        Condition("runs", SPARSE.config, runs=8),
        Condition("top-k", AdaSparkConfig((2, 2, 2), attn_rule="top_k", attn_keep=0.3)),
    ],
    ids=lambda condition: condition.name,
)
def test_other_conditions_run(condition: Condition) -> None:
    outcomes = [o for row in runner().run(clips(), condition) for o in row]
    for outcome in outcomes:
        assert 0 < outcome.density["attention"] < 1 and 0 < outcome.flops["reduction"] < 1
        assert np.isfinite(outcome.logprob) and outcome.to_dict()["family"] == outcome.family


@pytest.mark.parametrize(
    "wrong",
    [
        {"prune": 0.5, "config": SPARSE.config},
        {"prune": 0.5, "frames": 0.5},
        {"oracle": True, "config": AdaSparkConfig(attn_rule="recent", attn_keep=0.5)},
        {"control": "loud"},
        {"frames": 0.0},
    ],
)
def test_arms_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"\."):
        Condition("wrong", **wrong)


def test_clips_of_two_shapes_are_refused() -> None:
    other = Clip(clips()[0].scene, 8, SIZE, clips()[0].questions, 1)
    with pytest.raises(ValueError, match="one length and size"):
        runner().run([clips()[0], other], DENSE_CONDITION)
