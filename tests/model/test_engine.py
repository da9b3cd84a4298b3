"""The engine with the bundled model on real footage: words, phases, caches, limits, stopping."""

from __future__ import annotations

import copy
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from checkpoints import linked, replace_file
from engine_asked import CLIP, CLIPS, CONFIG, QUESTION, options, result_of
from models import tokenizer

from adaspark.assets import BUNDLED_MODEL
from adaspark.errors import UserError
from adaspark.method.config import AdaSparkConfig
from adaspark.model import checkpoint as checkpoint_module
from adaspark.model import generation
from adaspark.model.decoding import Chosen
from adaspark.model.engine import Engine
from adaspark.model.events import Phase, Word
from adaspark.model.features import FeatureCache, Features
from adaspark.model.prompt import build_prompt
from adaspark.model.qwen import restore
from adaspark.model.request import Event, Options
from adaspark.model.shown import chosen_sampling
from adaspark.trace.baselines import baseline
from adaspark.trace.meta import Pruned
from adaspark.trace.trace import Trace
from adaspark.video.clip import patchify, read_clip
from adaspark.video.sampling import Sampling


def sampling_of(engine: Engine, max_frames: int) -> Sampling:
    return chosen_sampling(engine._checkpoint.sampling, max_frames=max_frames)


def test_phases_come_in_order_and_count_up_to_their_totals(events: list[Event]) -> None:
    phases = [event for event in events if isinstance(event, Phase)]
    names = [phase.name for phase in phases]
    order = ["decode", "vision", "prefill", "generate"]
    assert sorted(set(names), key=order.index) == order
    assert names.index("prefill") > max(i for i, n in enumerate(names) if n == "vision")
    for name in order:
        done = [phase.done for phase in phases if phase.name == name]
        totals = {phase.total for phase in phases if phase.name == name}
        assert done == sorted(done) and len(totals) == 1 and done[-1] <= totals.pop()
    assert [p.done for p in phases if p.name == "prefill"] == list(range(1, 7))


def test_words_add_up_to_the_answer(events: list[Event]) -> None:
    result = result_of(events)
    words = "".join(event.text for event in events if isinstance(event, Word))
    assert words.strip() == result.answer == result.trace.meta.answer != ""
    assert not result.stopped


def test_the_trace_tells_what_was_shown(engine: Engine, events: list[Event]) -> None:
    trace = result_of(events).trace
    estimate = engine.estimate(CLIP, max_frames=4)
    assert trace.meta.grids == [estimate.grid]
    assert len(trace.cube_from_token) == estimate.video_tokens
    clip = trace.meta.clip
    assert (clip.name, clip.width, clip.height) == ("b.mp4", 480, 270)
    assert (clip.shown_width, clip.shown_height) == (
        28 * estimate.grid[2],
        28 * estimate.grid[1],
    )
    assert clip.frames == estimate.frames == trace.frame_times.size == 4
    times = trace.frame_times.flatten()
    assert (np.diff(times) > 0).all() and times[0] >= 0 and times[-1] <= clip.duration_secs
    assert trace.meta.config == CONFIG and trace.meta.question == QUESTION
    assert trace.meta.flops.vision == trace.meta.vision_flops > 0


def test_the_words_of_the_trace_are_the_prompt_and_the_answer(events: list[Event]) -> None:
    result = result_of(events)
    text = "".join(word.text for word in result.trace.words)
    assert text.startswith("<|im_start|>user\n<|vision_start|><|vision_end|>")
    assert f"{QUESTION}<|im_end|>" in text
    told = "".join(word.text for word in result.trace.words if word.kind == "answer")
    assert result.answer.startswith(told.strip())  # the last token is never read again


def test_a_second_question_decodes_nothing_and_a_repeated_one_changes_nothing(
    engine: Engine, events: list[Event]
) -> None:
    first, again = result_of(events), result_of(engine.ask(CLIP, QUESTION, options()))
    assert first.seconds["decode"] > 0 and first.seconds["vision"] > 0
    assert again.seconds["decode"] == again.seconds["vision"] == 0.0
    assert again.answer == first.answer
    assert replace(again.trace.meta, seconds={}) == replace(first.trace.meta, seconds={})
    for field in fields(Trace):
        if field.name != "meta":
            mine, theirs = getattr(again.trace, field.name), getattr(first.trace, field.name)
            np.testing.assert_array_equal(mine, theirs, err_msg=field.name)


def test_a_renamed_copy_is_known_by_its_content(
    engine: Engine, events: list[Event], tmp_path: Path
) -> None:
    copy = tmp_path / "äöü 視.mp4"
    copy.write_bytes(CLIP.read_bytes())
    result = result_of(engine.ask(copy, QUESTION, options()))
    assert result.seconds["decode"] == 0.0 and result.answer == result_of(events).answer


def test_other_sampling_is_decoded_anew(engine: Engine, events: list[Event]) -> None:
    result = result_of(engine.ask(CLIP, QUESTION, options(max_frames=2)))
    assert result.seconds["decode"] > 0 and result.trace.meta.grids[0][0] == 1


def test_each_request_runs_its_own_configuration(engine: Engine, events: list[Event]) -> None:
    dense = result_of(engine.ask(CLIP, QUESTION, options(AdaSparkConfig((2, 2, 2), 1, 1))))
    assert dense.trace.attention_density == dense.trace.ffn_density == 1.0
    sparse = result_of(engine.ask(CLIP, QUESTION, options(AdaSparkConfig((1, 3, 3), 0.1, 0.1))))
    assert sparse.trace.meta.config.cube == (1, 3, 3)
    assert sparse.trace.attention_density < result_of(events).trace.attention_density < 1
    again = result_of(engine.ask(CLIP, QUESTION, options()))
    assert again.trace.attention_density == result_of(events).trace.attention_density


def test_without_options_the_checkpoint_s_configuration_runs(engine: Engine) -> None:
    assert engine.default_config == engine._checkpoint.config
    assert engine.is_bundled and engine.name == "mini" and engine.dtype == "float32"


def test_the_bundled_model_suggests_questions_and_no_other_does(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "What color is the circle?" in engine.questions
    monkeypatch.setattr(engine, "is_bundled", False)
    assert engine.questions == []


def test_a_dense_answer_is_that_of_the_stock_model(engine: Engine) -> None:
    """The engine's chunks, embeddings and positions against one plain call of transformers."""
    dense = Options(AdaSparkConfig(attn_top_p=1, ffn_top_p=1), max_frames=6, max_new_tokens=1)
    answer = result_of(engine.ask(CLIP, QUESTION, dense)).answer
    checkpoint, sampling = engine._checkpoint, sampling_of(engine, 6)
    frames = read_clip(CLIP, sampling).frames
    slices, rows, columns = engine.estimate(CLIP, max_frames=6).grid
    seconds = engine.estimate(CLIP, max_frames=6).seconds_per_slice
    rate = checkpoint.model.config.vision_config.tokens_per_second
    prompt = build_prompt(
        tokenizer(), QUESTION, (slices, rows, columns), position_step=rate * seconds
    )
    stock = restore(copy.deepcopy(checkpoint.model))
    with torch.no_grad():
        logits = stock(
            input_ids=prompt.input_ids,
            mm_token_type_ids=prompt.token_types,
            pixel_values_videos=patchify(frames, sampling, checkpoint.mean, checkpoint.std),
            video_grid_thw=torch.tensor([[slices, 2 * rows, 2 * columns]]),
            second_per_grid_ts=torch.tensor([seconds]),
        ).logits[0, -1]
    assert tokenizer().decode([int(logits.argmax())], skip_special_tokens=True).strip() == answer


def pruned_options(count: int, **changes: Any) -> Options:
    return options(AdaSparkConfig((1, 1, count), 1, 1), keep_tokens=count, **changes)


def test_pruning_keeps_the_strongest_tokens_and_drops_the_rest_for_good(
    engine: Engine, events: list[Event]
) -> None:
    result = result_of(engine.ask(CLIP, QUESTION, pruned_options(5)))
    key = engine._cache.key(CLIP, sampling_of(engine, 4))
    features = engine._cache.get(key)
    assert features is not None and features.kept is None, "what is cached stays whole"
    norms = features.embeddings.norm(dim=-1)
    expected = sorted(norms.argsort(descending=True)[:5].tolist())
    trace = result.trace
    assert trace.meta.pruned == Pruned(features.grid, expected)
    assert len(trace.cube_from_token) == 5 and trace.attention_density == 1.0
    text = trace.meta.counts.text_tokens
    assert trace.meta.counts.tokens == 5 + text
    assert trace.words[-1].position < 5 + text + 4


def test_pruning_nothing_is_dense(engine: Engine, events: list[Event]) -> None:
    count = len(result_of(events).trace.cube_from_token)
    dense = result_of(engine.ask(CLIP, QUESTION, options(AdaSparkConfig((2, 2, 2), 1, 1))))
    pruned = result_of(engine.ask(CLIP, QUESTION, pruned_options(count)))
    assert pruned.answer == dense.answer and pruned.logprob == pytest.approx(
        dense.logprob, abs=1e-4
    )


def test_a_pruned_run_costs_what_it_is_compared_with(engine: Engine, events: list[Event]) -> None:
    run = result_of(events).trace
    other = baseline(run, "prune")
    assert other.keep_tokens is not None
    asked = options(other.config, keep_tokens=other.keep_tokens)
    dense, total = (
        getattr(trace.meta.flops, which).total
        for trace, which in (
            (result_of(engine.ask(CLIP, QUESTION, asked)).trace, "dense"),
            (run, "sparse"),
        )
    )
    assert total - dense == pytest.approx(0, abs=2 * dense / other.keep_tokens) and dense <= total


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"keep_tokens": 0}, "keep_tokens must be 1 to"),
        ({"keep_tokens": 10**6}, "keep_tokens must be 1 to"),
        ({"keep_tokens": 3, "forced": {0: True}}, "without cubes"),
    ],
)
def test_what_cannot_be_pruned_is_refused(
    engine: Engine, wrong: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence):
        engine.ask(CLIP, QUESTION, options(**wrong))


def test_characters_of_several_tokens_are_shown_when_they_are_whole(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = "é 視 👩 x"
    ids = tokenizer().encode(said, add_special_tokens=False)
    written = [Chosen(token, 0.0, False, False) for token in ids]
    monkeypatch.setattr(generation.Words, "__iter__", lambda _: iter(written))
    events = list(engine.ask(CLIP, QUESTION, options(max_new_tokens=len(ids))))
    words = [event.text for event in events if isinstance(event, Word)]
    assert "".join(words) == result_of(events).answer == said
    assert not any("\ufffd" in word for word in words)


def test_a_question_of_such_characters_is_whole_in_the_trace(engine: Engine) -> None:
    asked = "é 視 👩 x?"
    trace = result_of(engine.ask(CLIP, asked, options(max_new_tokens=1))).trace
    words = [word for word in trace.words if word.kind == "question"]
    assert "".join(word.text for word in words) == asked
    assert len(words) == len(tokenizer().encode(asked, add_special_tokens=False))
    parts = [word.part.number for word in words if word.part and word.part.of == "👩"]
    assert parts == [1, 2, 3, 4]


@pytest.mark.parametrize("name", ["a.mp4", "b.avi", "world.mp4"])
def test_real_footage_of_other_sizes_and_containers(engine: Engine, name: str) -> None:
    summary = result_of(engine.ask(CLIPS / name, QUESTION, options())).summary()
    assert 0 < summary["attention_density"] < 1 and 0 < summary["ffn_density"] < 1


def features(size: int) -> Features:
    return Features(torch.zeros(size, 1), (1, 1, size), [0.0, 0.0])


def test_the_cache_forgets_the_least_recently_used_and_never_the_newest() -> None:
    cache = FeatureCache(max_bytes=100)
    sampling = Sampling()
    for name in ("a", "b"):
        cache.put((name, sampling), features(10))
    assert cache.get(("a", sampling)) is not None
    cache.put(("c", sampling), features(10))
    assert cache.get(("b", sampling)) is None and cache.get(("a", sampling)) is not None
    cache.put(("large", sampling), features(1000))
    assert cache.get(("large", sampling)) is not None and cache.get(("a", sampling)) is None


def test_a_checkpoint_may_bring_its_configuration(tmp_path: Path) -> None:
    folder = linked(tmp_path / "copy", BUNDLED_MODEL)
    replace_file(folder / "adaspark.json", b'{"cube": [2, 3, 4], "ffn_top_p": 0.25}')
    loaded = checkpoint_module.load(str(folder), device="cpu")
    assert loaded.config == AdaSparkConfig((2, 3, 4), ffn_top_p=0.25)
    assert loaded.model.dtype in (torch.bfloat16, torch.float32)  # whichever is faster here
    assert not loaded.model.training
