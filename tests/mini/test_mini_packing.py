"""Parts of the packed sparse forward: chunks, counts, runs, oracle, and gradients."""

from __future__ import annotations

import pytest
import torch
from packed_runs import (
    CONFIGS,
    GRID,
    bundled,
    features,
    fresh,
    geometry_for,
    packed,
    scene_and_questions,
)
from torch import Tensor

from adaspark.errors import UserError
from adaspark.method.config import AdaSparkConfig
from adaspark.mini.packed import geometry as packed_geometry
from adaspark.mini.packed.decisions import Decisions
from adaspark.mini.packed.geometry import cube_layout
from adaspark.mini.packed.masked_forward import SparseForward
from adaspark.model.mrope import VIDEO
from adaspark.model.prompt import build_prompt
from adaspark.model.qwen import restore, sparsify


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
