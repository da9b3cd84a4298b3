"""The engine's own step of decoding: what the model computes, words, logits and records alike."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any, NamedTuple

import interpreted
import numpy as np
import pytest
import torch
from family_models import Shape, family_model, family_prompt
from long import some_of
from models import prompt, tiny_model
from transformers import DynamicCache

from adaspark import record, sparsify
from adaspark.kernels.backend import use_backend
from adaspark.kernels.gpu import decode_layer
from adaspark.kernels.gpu import decode_step as kernels
from adaspark.method.config import AdaSparkConfig
from adaspark.model import captured, decode_step
from adaspark.model.decode_step import DecodeStep, step_for
from adaspark.model.decoding import Decoding
from adaspark.model.step_modules import modules_of
from adaspark.model.words import Words
from adaspark.trace.trace import Trace

DEVICE = interpreted.DEVICE
CONFIG = AdaSparkConfig((2, 2, 2), 0.6, 0.5)
GRID = [(3, 3, 2)]


class Answer(NamedTuple):
    """What was written, the logits of each step, and what was recorded."""

    ids: list[int]
    logits: torch.Tensor
    trace: Trace
    step: DecodeStep | None


@pytest.fixture(scope="module")
def model() -> Any:
    made = tiny_model(heads=4, kv_heads=2, layers=2, head_dim=16, ffn_width=48).to(DEVICE)
    made.generation_config.eos_token_id = None
    return made


@pytest.fixture(scope="module", autouse=True)
def few_programs() -> Iterator[None]:
    """A program makes many outputs of a product; `test_products_are_those_of_torch` tries few."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decode_layer, "tile_of", lambda _: (32, 512))
        yield


@pytest.fixture(scope="module")
def usual(model: Any) -> Answer:
    """What a step that records says of the usual setting."""
    sparsify(model, CONFIG)
    return answer(model, fast=True)


def answer(
    model: Any,
    *,
    fast: bool,
    count: int = 3,
    recorded: bool = True,
    ahead: int = 1,
    family: str = "qwen2_5_vl",
) -> Answer:
    """Prefill, then words: by a `DecodeStep` if `fast`, else as the model computes them."""
    inputs = {name: value.to(DEVICE) for name, value in family_prompt(family, GRID).items()}
    cache, logits, step = DynamicCache(config=model.config.text_config), [], None
    decoding = Decoding(model, inputs["input_ids"], tokenizer=None, max_new_tokens=count)
    with torch.inference_mode(), record(model) if recorded else nullcontext(Trace()) as trace:
        first = model(**inputs, past_key_values=cache).logits[0, -1]
        at = int(inputs["input_ids"].shape[1] + model.model.rope_deltas)
        if fast:
            with use_backend("gpu"):  # interpreted where there is none: the prefill need not be
                step = step_for(model, cache, torch.arange(at, at + count, device=DEVICE))
            assert step is not None
        places = iter(range(at, at + count))

        def stock(token: torch.Tensor) -> torch.Tensor:
            return model(
                input_ids=token[None],
                position_ids=torch.full((3, 1, 1), next(places), device=DEVICE),
                past_key_values=cache,
            ).logits[0, -1]

        def take(token: torch.Tensor) -> torch.Tensor:
            logits.append((step or stock)(token).clone())
            return logits[-1]

        words = Words(decoding.choose(first), take, decoding, ahead=ahead if fast else 0)
        ids = [chosen.token for chosen in words]
        if step is not None:
            step.record(ids[: words.read - 1])
    return Answer(ids, torch.stack(logits), trace, step)


def same(mine: Answer, other: Answer) -> None:
    assert mine.ids == other.ids
    shared = min(len(mine.logits), len(other.logits))
    assert shared
    torch.testing.assert_close(mine.logits[:shared], other.logits[:shared], atol=1e-4, rtol=1e-4)
    a, b = mine.trace, other.trace
    assert a.meta == b.meta and len(a.words) == len(b.words)
    for name in ("kept_share", "word_kept", "ffn_kept", "computed_pairs", "executed_pairs"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), name)
    for name in ("word_entropy", "word_effective", "cube_entropy"):
        np.testing.assert_allclose(getattr(a, name), getattr(b, name), atol=1e-5, err_msg=name)
    np.testing.assert_allclose(a.word_probs, b.word_probs, atol=1e-3)


@pytest.mark.few(2)
@pytest.mark.parametrize(
    "config",
    [
        CONFIG,
        AdaSparkConfig((2, 2, 2), 1.0, 1.0),
        AdaSparkConfig((2, 2, 2), 0.3, 0.5, text_top_p=(1.0, 0.8)),
        AdaSparkConfig((2, 2, 2), (0.0, 0.7), 0.5),
        AdaSparkConfig((2, 3, 3), (1.0, 0.4), 0.5),
    ],
    ids=["sparse", "p = 1", "words apart", "p = 0, then 0.7", "dense, then sparse"],
)
def test_words_logits_and_records_are_those_of_the_model(
    model: Any, config: AdaSparkConfig
) -> None:
    sparsify(model, config)
    same(answer(model, fast=True), answer(model, fast=False))


@pytest.mark.parametrize("family", ["qwen2_vl", "qwen3_vl"])
def test_words_of_other_families_are_those_of_the_model(family: str) -> None:
    """Qwen3-VL has norms of its own on each head, and times between its frames."""
    model = family_model(family, shape=Shape(heads=4, kv_heads=2, layers=2, hidden=64)).to(DEVICE)
    model.generation_config.eos_token_id = None
    for layer in model.model.language_model.layers:
        for name in ("q_norm", "k_norm"):  # one, as they begin, would hide which is taken
            if norm := getattr(layer.self_attn, name, None):
                torch.nn.init.normal_(norm.weight, 1, 0.3)
    sparsify(model, CONFIG)
    mine = answer(model, fast=True, family=family)
    same(mine, answer(model, fast=False, family=family))
    assert mine.step is not None


@pytest.mark.parametrize("family", ["qwen3_vl_moe", "qwen3_5"])
def test_experts_and_layers_without_attention_have_no_such_step(family: str) -> None:
    model = family_model(family, shape=Shape(heads=4, kv_heads=2, layers=2, hidden=64)).to(DEVICE)
    sparsify(model, CONFIG)
    assert modules_of(model) is None


@some_of("forced", [{0: False}, {1: True, 2: False}])
def test_forced_cubes_are_forced_in_every_step(model: Any, forced: dict[int, bool]) -> None:
    sparsify(model, CONFIG, forced=forced)
    mine = answer(model, fast=True)
    same(mine, answer(model, fast=False))
    answered = [i for i, word in enumerate(mine.trace.words) if word.kind == "answer"]
    for cube, on in forced.items():
        assert (mine.trace.word_mask()[:, answered][..., cube] == on).all()
    sparsify(model, CONFIG)


def test_unrecorded_words_are_the_same(model: Any, usual: Answer) -> None:
    sparsify(model, CONFIG)
    silent = answer(model, fast=True, recorded=False)
    assert usual.ids == silent.ids and torch.equal(usual.logits, silent.logits)


def test_tables_that_are_full_are_drained(
    model: Any, usual: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    sparsify(model, CONFIG)
    monkeypatch.setattr(kernels, "TABLE_BYTES", 1)
    parts = answer(model, fast=True)
    assert parts.step is not None and parts.step._cache.slots == 1
    same(parts, usual)


@pytest.mark.few
@some_of("ahead", [0, 1, 3], always=2)
def test_an_end_that_is_read_late_leaves_nothing_behind(model: Any, ahead: int) -> None:
    """Tokens that were computed after the end are neither words nor recorded."""
    sparsify(model, CONFIG)
    free = answer(model, fast=False, count=6)
    config, end = model.generation_config, free.ids[2]
    assert end not in free.ids[:2]
    config.eos_token_id = end
    try:
        mine = answer(model, fast=True, count=6, ahead=ahead)
        same(mine, answer(model, fast=False, count=6))
    finally:
        config.eos_token_id = None
    assert mine.ids == free.ids[:2]
    assert len(mine.logits) == min(2 + ahead, 5)  # what was asked for ahead


def test_another_model_than_transformers_own_has_no_such_step(model: Any) -> None:
    sparsify(model, CONFIG)
    layer = model.model.language_model.layers[1]
    inputs = {name: value.to(DEVICE) for name, value in prompt(GRID).items()}
    cache = DynamicCache(config=model.config.text_config)
    places = torch.arange(3, device=DEVICE)

    def has_step() -> bool:
        with use_backend("gpu"):
            return step_for(model, cache, places) is not None

    with torch.inference_mode():
        assert not has_step()  # nothing is cached
        model(**inputs, past_key_values=cache)
        assert has_step()
        with use_backend("tiles"):
            assert step_for(model, cache, places) is None
        handle = layer.mlp.register_forward_hook(lambda *_: None)
        assert not has_step()
        handle.remove()
        layer.self_attn.forward = layer.self_attn.forward
        assert not has_step()
        del layer.self_attn.forward
        sparsify(model, AdaSparkConfig((2, 2, 2), attn_rule="recent", attn_keep=0.5))
        assert not has_step()
        sparsify(model, CONFIG)
        model.model.language_model.norm.bfloat16()
        assert not has_step()
        model.model.language_model.norm.float()
        assert has_step()


def test_without_memory_for_the_keys_the_model_writes(
    model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def short(*_: Any) -> None:
        raise torch.cuda.OutOfMemoryError("short of memory")

    sparsify(model, CONFIG)
    cache = DynamicCache(config=model.config.text_config)
    inputs = {name: value.to(DEVICE) for name, value in prompt(GRID).items()}
    monkeypatch.setattr(decode_step, "_step_cache", short)
    with torch.inference_mode(), use_backend("gpu"):
        model(**inputs, past_key_values=cache)
        assert step_for(model, cache, torch.arange(3, device=DEVICE)) is None


class Recorded:
    """Stands for a device that captures: what is asked of it, in order."""

    def __init__(self, *, fails: bool = False) -> None:
        self.asked: list[str] = []
        self.fails = fails
        self.device = torch.device("cuda")

    def capture_begin(self, **_: Any) -> None:
        self.asked.append("begin")

    def capture_end(self) -> None:
        self.asked.append("end")
        if self.fails:
            raise RuntimeError("operation not permitted when stream is capturing\nmore")

    def replay(self) -> None:
        self.asked.append("replay")

    def wait_stream(self, _: Any) -> None:
        pass


@pytest.mark.parametrize("fails", [False, True])
def test_the_second_call_is_captured_or_everything_just_runs(
    monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    device, ran, said = Recorded(fails=fails), [], []
    monkeypatch.setattr(torch.cuda, "Stream", lambda _: device)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", lambda: device)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda _: device)
    monkeypatch.setattr(torch.cuda, "stream", lambda _: nullcontext())

    def compute() -> torch.Tensor:
        ran.append(1)
        return torch.ones(1)

    run = captured.Captured(compute, torch.device("cuda"), said.append)
    for _ in range(4):
        assert run() == 1
    if fails:
        assert device.asked == ["begin", "end"] and len(ran) == 5
        assert said == ["operation not permitted when stream is capturing"]
    else:
        assert device.asked == ["begin", "end", "replay", "replay", "replay"] and len(ran) == 2
        assert not said
