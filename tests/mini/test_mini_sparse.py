"""The packed sparse forward decides and answers as the product does, and lets gradients pass."""

from __future__ import annotations

import random
from contextlib import nullcontext
from functools import cache
from typing import Any
from unittest.mock import patch

import pytest
import torch
from torch import Tensor

from adaspark.errors import UserError
from adaspark.method.config import DENSE, AdaSparkConfig
from adaspark.mini.packed import geometry as packed_geometry
from adaspark.mini.packed import masked_forward
from adaspark.mini.packed.decisions import Decisions
from adaspark.mini.packed.dense_forward import packed_states, patchify, use_packed_attention
from adaspark.mini.packed.geometry import PackedGeometry, cube_layout
from adaspark.mini.packed.masked_forward import SparseForward
from adaspark.mini.packed.packing import Packer, geometry
from adaspark.mini.questions.families import Question, questions
from adaspark.mini.training.model import build_model
from adaspark.mini.world.render import render
from adaspark.mini.world.world import SceneSettings, sample_scene
from adaspark.model import checkpoint
from adaspark.model.prompt import VIDEO, build_prompt
from adaspark.model.qwen import record, restore, sparsify
from adaspark.trace.trace import Trace

GRID, SIZE = (5, 3, 4), (84, 112)
ASKED = 2
CONFIGS = {
    "both halves": AdaSparkConfig((2, 2, 2), 0.6, 0.5),
    "attention": AdaSparkConfig((2, 2, 3), 0.4, 1.0),
    "top-k, bypass": AdaSparkConfig(
        (2, 2, 2), 1.0, attn_rule="top_k", attn_keep=0.3, ffn_top_p=0.4, ffn_skipped="bypass"
    ),
    "recent and uniform": AdaSparkConfig(
        (1, 2, 2), attn_rule="recent", attn_keep=0.3, ffn_rule="uniform", ffn_keep=0.4
    ),
    "random": AdaSparkConfig(
        (2, 2, 2), attn_rule="random", attn_keep=0.4, ffn_rule="random", ffn_keep=0.5
    ),
    "nothing": AdaSparkConfig((2, 2, 2), 0.0, 0.0),
    "by layer": AdaSparkConfig(
        (2, 2, 2), (0.3, 1.0, 0.6, 0.0, 0.9, 0.7), (0.5, 0.2, 1.0, 0.8, 0.0, 0.6)
    ),
}


@cache
def bundled() -> tuple[Any, Packer]:
    loaded = checkpoint.load(device="cpu")
    return loaded.model, Packer(loaded.tokenizer)


@cache
def fresh() -> tuple[Any, Packer]:
    """Random weights, sharper than fresh ones: else every softmax is flat."""
    packer = bundled()[1]
    model = build_model(packer.tokenizer, seed=1).eval()
    for layer in model.model.language_model.layers:
        for project in (layer.self_attn.q_proj, layer.self_attn.k_proj):
            project.weight.data *= 10
    return model, packer


MODELS = {"bundled": bundled, "fresh": fresh}


@cache
def scene_and_questions() -> tuple[Any, tuple[Question, ...]]:
    scene = sample_scene(5, SceneSettings(10, SIZE, (2, 2)))
    return scene, tuple(questions(scene, random.Random(2), count=ASKED, loose=False))


@cache
def features(name: str) -> Tensor:
    model, _ = MODELS[name]()
    scene, _ = scene_and_questions()
    patches = patchify(render([scene], [n / 4 for n in range(10)], SIZE)).flatten(0, 2)
    grid = torch.tensor([[GRID[0], 2 * GRID[1], 2 * GRID[2]]])
    with torch.no_grad():
        out: Tensor = model.model.visual(patches, grid_thw=grid).pooler_output
    return out


def geometry_for(packer: Packer, config: AdaSparkConfig, runs: int | None = None) -> PackedGeometry:
    shape = geometry(packer, GRID, ASKED)
    return PackedGeometry.build(shape, cube_layout(GRID, config.cube, runs), packer.block_tokens)


def packed(
    name: str,
    config: AdaSparkConfig,
    runs: int | None = None,
    *,
    masked: bool = False,
    **more: Any,
) -> tuple[Tensor, Decisions]:
    """Logits [Q, L, vocabulary] of two clips' worth of blocks, and what was decided.

    `masked` computes the prefix by masks too, as training does.
    """
    model, packer = MODELS[name]()
    blocks = torch.tensor([[packer.block(q)[0] for q in scene_and_questions()[1]]])
    recorded = Decisions(**more)
    by_masks = patch.object(masked_forward, "_needs_no_masks", return_value=False)
    with torch.no_grad(), by_masks if masked else nullcontext():
        forward = SparseForward(
            model, geometry_for(packer, config, runs), config, decisions=recorded
        )
        states = forward.states(blocks.expand(2, -1, -1), features(name).expand(2, -1, -1))
        logits: Tensor = model.lm_head(states).view(2, ASKED, packer.block_tokens, -1)
    torch.testing.assert_close(logits[0], logits[1], atol=1e-4, rtol=1e-4)  # BLAS may differ
    return logits[0], recorded


def product(name: str, config: AdaSparkConfig, question: Question) -> tuple[Tensor, Trace]:
    """Logits [tokens after the video, vocabulary] of one ordinary prompt, answer included."""
    model, packer = MODELS[name]()
    prompt = build_prompt(packer.tokenizer, question.text, GRID, position_step=1.0)
    table = model.model.language_model.embed_tokens
    ids = packer.encode(question.answer)
    embeds = table(torch.cat([prompt.input_ids[0], torch.tensor(ids)]))[None]
    types = torch.nn.functional.pad(prompt.token_types, (0, len(ids)))
    embeds[types == VIDEO] = features(name)
    after = prompt.next_position + torch.arange(len(ids)).expand(3, 1, -1)
    sparsify(model, config)
    try:
        with torch.no_grad(), record(model) as trace:
            out = model(
                inputs_embeds=embeds,
                position_ids=torch.cat([prompt.position_ids, after], -1),
                mm_token_type_ids=types,
                video_grid_thw=torch.tensor([[GRID[0], 2 * GRID[1], 2 * GRID[2]]]),
            )
    finally:
        restore(model)
    first = int((types[0] == VIDEO).nonzero()[-1]) + 1
    return out.logits[0, first:], trace


@pytest.mark.parametrize("config", CONFIGS.values(), ids=list(CONFIGS))
@pytest.mark.parametrize("name", MODELS)
def test_it_is_the_product_s_path(name: str, config: AdaSparkConfig) -> None:
    logits, recorded = packed(name, config)
    _, packer = MODELS[name]()
    for index, question in enumerate(scene_and_questions()[1]):
        expected, trace = product(name, config, question)
        count = len(expected)
        torch.testing.assert_close(logits[index, :count], expected, atol=2e-4, rtol=1e-3)
        words = [
            w
            for w, word in enumerate(trace.words)
            if word.position >= trace.meta.counts.tokens - count
        ]
        here = slice(index * packer.block_tokens, index * packer.block_tokens + count)
        for number, layer in enumerate(recorded.layers):
            kept = layer.kept[0, :, here].transpose(0, 1).numpy()
            assert (kept == trace.word_mask()[number][words]).all()
            assert layer.ffn_kept is not None
            assert (layer.ffn_kept[0].numpy() == trace.ffn_mask()[number]).all()
            prefix = int(layer.pairs[0, : -ASKED * packer.block_tokens].sum())
            shown = layer.pairs[0, -ASKED * packer.block_tokens :][here]
            assert prefix + int(shown.sum()) == trace.computed_pairs[number]


@pytest.mark.parametrize("runs", [None, 8])
@pytest.mark.parametrize("config", [*CONFIGS.values(), DENSE], ids=[*CONFIGS, "dense"])
def test_a_prefix_without_masks_is_that_with_masks(
    config: AdaSparkConfig, runs: int | None
) -> None:
    rows = [3, 20, 21, 60, 75, 100]
    plain, recorded = packed("fresh", config, runs, rows=rows, mass=True, norms=True)
    expected, wanted = packed("fresh", config, runs, rows=rows, mass=True, norms=True, masked=True)
    torch.testing.assert_close(plain, expected, atol=2e-4, rtol=1e-3)
    for mine, other in zip(recorded.layers, wanted.layers, strict=True):
        for field, values in vars(other).items():
            torch.testing.assert_close(getattr(mine, field), values, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("name", ["attention", "both halves"])
def test_a_prefix_without_masks_follows_autocast(name: str) -> None:
    """Rotary embedding leaves queries and keys in fp32, values are bf16."""
    with torch.autocast("cpu", torch.bfloat16):
        plain, _ = packed("bundled", CONFIGS[name])
        expected, _ = packed("bundled", CONFIGS[name], masked=True)
    assert plain.dtype == expected.dtype == torch.bfloat16
    error = (plain.float() - expected.float()).norm() / expected.float().norm()
    assert error < 0.05


@pytest.mark.parametrize("name", MODELS)
def test_dense_it_is_the_dense_packed_forward(name: str) -> None:
    model, packer = MODELS[name]()
    logits, recorded = packed(name, DENSE)
    blocks = torch.tensor([[packer.block(q)[0] for q in scene_and_questions()[1]]])
    geometry = geometry_for(packer, DENSE)
    before = model.model.language_model.config._attn_implementation
    use_packed_attention(model)
    try:
        with torch.no_grad():
            states = packed_states(model, blocks, features(name)[None], geometry.shape)
            expected = model.lm_head(states).view_as(logits)
    finally:
        model.model.language_model.config._attn_implementation = before
    torch.testing.assert_close(logits, expected, atol=1e-4, rtol=1e-4)
    heads = model.config.text_config.num_attention_heads
    for layer in recorded.layers:
        assert torch.equal(layer.pairs[0], heads * geometry.visible_of_row)


def test_thresholds_of_another_number_of_layers_are_refused() -> None:
    with pytest.raises(UserError, match="given for 2 layers and this model has 6"):
        packed("bundled", AdaSparkConfig((2, 2, 2), (0.5, 0.5)))


def test_small_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    config = CONFIGS["both halves"]
    whole, recorded = packed("bundled", config, mass=True, masked=True)
    monkeypatch.setitem(packed_geometry.CHUNK_ROWS, "cpu", 7)
    parts, again = packed("bundled", config, mass=True, masked=True)
    torch.testing.assert_close(parts, whole, atol=1e-4, rtol=1e-4)
    for one, other in zip(recorded.layers, again.layers, strict=True):
        assert torch.equal(one.kept, other.kept) and torch.equal(one.pairs, other.pairs)
        torch.testing.assert_close(one.mass, other.mass)


def test_the_plan_counts_what_the_rows_may_weigh_and_read() -> None:
    _, packer = bundled()
    geometry = geometry_for(packer, CONFIGS["both halves"])
    for chunk in geometry.chunks(1, 4):
        rows = slice(chunk.start, chunk.end)
        assert torch.equal(geometry.candidates(chunk).sum(-1), geometry.candidates_of_row[rows])
        assert torch.equal(geometry.visible(chunk).sum(-1), geometry.visible_of_row[rows])


def test_the_dense_mass_of_a_cube_is_that_of_its_tokens() -> None:
    """Runs of one token give the mass of every token; text holds what is missing to one."""
    config = AdaSparkConfig((2, 2, 2), 1.0, 1.0)
    geometry = geometry_for(bundled()[1], config)
    rows = [20, 40, geometry.tokens - 3]
    _, cubes = packed("bundled", config, rows=rows, mass=True, norms=True)
    _, tokens = packed("bundled", config, runs=1, rows=rows, mass=True)
    for layer, fine in zip(cubes.layers, tokens.layers, strict=True):
        assert layer.mass is not None and fine.mass is not None
        sums = torch.zeros_like(layer.mass).index_add(
            -1, geometry.layout.cube_from_token, fine.mass
        )
        torch.testing.assert_close(layer.mass, sums)
        assert (layer.mass.sum(-1) > 0).all() and (layer.mass.sum(-1) < 1 + 1e-5).all()
        assert layer.ffn_in is not None and layer.ffn_out is not None
        assert layer.ffn_in.shape == layer.ffn_out.shape == (2, geometry.tokens)


def test_runs_are_one_dimensional_cubes_of_the_raster_order() -> None:
    layout = cube_layout(GRID, (2, 2, 2), runs=8)
    assert torch.equal(layout.cube_from_token, torch.arange(60) // 8)


def test_the_oracle_keeps_the_cubes_that_hold_the_most_mass() -> None:
    """Given the same queries and keys, so in the first layer."""
    config = AdaSparkConfig((2, 2, 2), attn_rule="top_k", attn_keep=0.25)
    model, packer = bundled()
    blocks = torch.tensor([[packer.block(q)[0] for q in scene_and_questions()[1]]])
    held = {}
    for oracle in (False, True):
        recorded = Decisions(mass=True)
        with torch.no_grad():
            geometry = geometry_for(packer, config)
            forward = SparseForward(model, geometry, config, oracle=oracle, decisions=recorded)
            forward.states(blocks, features("bundled")[None])
        first = recorded.layers[0]
        assert first.mass is not None
        held[oracle] = (first.mass * first.kept).sum(-1)
        if oracle:
            best = first.mass.sort(-1, descending=True).values[
                ..., : int(first.kept[0, 0, 0].sum())
            ]
            torch.testing.assert_close(held[True], best.sum(-1))
    assert (held[True] >= held[False] - 1e-6).all() and held[True].sum() > held[False].sum()


def test_gradients_are_those_of_the_product_s_path() -> None:
    """Through chosen keys and tokens, with the masks made again in the backward pass."""
    config = CONFIGS["both halves"]
    model, packer = fresh()
    question = scene_and_questions()[1][0]
    prompt = build_prompt(packer.tokenizer, question.text, GRID, position_step=1.0)
    wanted = dict(model.model.language_model.layers.named_parameters())
    grads: list[dict[str, Tensor]] = []
    place = prompt.tokens - len(packer.prefix(features("fresh").shape[0])) - 1

    def collect(logits: Tensor) -> None:
        model.zero_grad()
        torch.nn.functional.cross_entropy(logits[None], torch.tensor([7])).backward()  # type: ignore[no-untyped-call]
        grads.append({n: p.grad.clone() for n, p in wanted.items() if p.grad is not None})

    blocks = torch.tensor([[packer.block(q)[0] for q in scene_and_questions()[1]]])
    forward = SparseForward(model, geometry_for(packer, config), config)
    states = forward.states(blocks, features("fresh")[None])
    collect(model.lm_head(states[0, place]))
    sparsify(model, config)
    try:
        embeds = model.model.language_model.embed_tokens(prompt.input_ids).detach().clone()
        embeds[prompt.token_types == VIDEO] = features("fresh")
        out = model(
            inputs_embeds=embeds,
            position_ids=prompt.position_ids,
            mm_token_type_ids=prompt.token_types,
            video_grid_thw=torch.tensor([[GRID[0], 2 * GRID[1], 2 * GRID[2]]]),
        )
        collect(out.logits[0, -1])
    finally:
        restore(model)
    assert grads[0].keys() == grads[1].keys() == wanted.keys()
    for name, mine in grads[0].items():
        largest = grads[1][name].abs().max()
        assert largest > 0 and (mine - grads[1][name]).abs().max() < 1e-3 * largest, name
