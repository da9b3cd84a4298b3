"""The packed sparse forward decides and answers as the product does."""

from __future__ import annotations

import pytest
import torch
from packed_runs import (
    ASKED,
    CONFIGS,
    MODELS,
    features,
    geometry_for,
    packed,
    product,
    scene_and_questions,
)

from adaspark.method.config import DENSE, AdaSparkConfig
from adaspark.mini.packed.dense_forward import packed_states, use_packed_attention


@pytest.mark.few(6)
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


@pytest.mark.few(6)
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
