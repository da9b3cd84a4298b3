"""What a prompt meets in a layer beside its products: transformers' own modules, and ours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import interpreted
import pytest
import torch
from family_models import Shape, family_model, family_prompt
from torch import Tensor
from torch.nn.functional import silu
from transformers.models.qwen3_vl.modeling_qwen3_vl import (
    Qwen3VLTextMLP,
    Qwen3VLTextRMSNorm,
    apply_rotary_pos_emb,
)

from adaspark import sparsify
from adaspark.kernels.backend import use_backend
from adaspark.kernels.gpu import layer_rows
from adaspark.method.config import AdaSparkConfig
from adaspark.model import fused
from adaspark.model.families import family_of

DEVICE = interpreted.DEVICE
CONFIG = AdaSparkConfig((2, 2, 2), 0.6, 0.5)
FAMILIES = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl")
WIDE = Shape(layers=2, hidden=7 * 16)
"""Heads of 16, the least that a device multiplies."""
ROUNDED = {torch.float32: 1e-6, torch.bfloat16: 2**-7}
"""Relative: sums of squares in another order round a number of 8 bits the other way at most."""


def norm_of(width: int, dtype: torch.dtype) -> Any:
    made = Qwen3VLTextRMSNorm(width, eps=1e-5)
    torch.nn.init.uniform_(made.weight, 0.5, 1.5)
    return made.to(DEVICE, dtype)


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("width", "size"), [(48, 3.0), (300, 3.0), (48, 1e-3)])
def test_a_norm_is_that_of_transformers(width: int, size: float, dtype: torch.dtype) -> None:
    """Also of numbers so small that its epsilon counts."""
    norm = norm_of(width, dtype)
    hidden = size * torch.randn(2, 5, width, device=DEVICE, dtype=dtype)
    found, norms = layer_rows.normed(hidden, norm.weight, norm.variance_epsilon)
    torch.testing.assert_close(found, norm(hidden), rtol=ROUNDED[dtype], atol=1e-6)
    torch.testing.assert_close(norms, hidden.float().norm(dim=-1), rtol=1e-6, atol=0)


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("heads", "normed"), [(2, False), (11, False), (3, True)])
def test_heads_are_turned_as_transformers_turns_them(
    heads: int, normed: bool, dtype: torch.dtype
) -> None:
    """Of two samples, at places of their own."""
    batch, count, width = 2, 3, 16
    projected = torch.randn(batch, count, heads * width, device=DEVICE, dtype=dtype)
    angles = torch.rand(batch, count, width // 2, device=DEVICE).repeat(1, 1, 2)
    cos, sin = angles.cos().to(dtype), angles.sin().to(dtype)
    norm = norm_of(width, dtype)
    split = projected.view(batch, count, heads, width)
    usual = (norm(split) if normed else split).transpose(1, 2)
    expected, _ = apply_rotary_pos_emb(usual, usual, cos, sin)
    given = (norm.weight, norm.variance_epsilon) if normed else None
    found = layer_rows.rotated(projected, (cos, sin), given)
    torch.testing.assert_close(found, expected, rtol=ROUNDED[dtype], atol=ROUNDED[dtype])


@torch.no_grad()
def test_the_gate_is_silu_times_the_other() -> None:
    gate, up = torch.randn(2, 3, 700, device=DEVICE)
    torch.testing.assert_close(layer_rows.gated(gate, up), silu(gate) * up)


@torch.no_grad()
@pytest.mark.few
@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("p", [0.6, 1.0])
def test_a_prompt_is_read_alike(name: str, p: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """All parts of each layer are ours, and the logits stay; without video nothing of ours is."""
    model = family_model(name, shape=WIDE).to(DEVICE)
    sparsify(model, AdaSparkConfig((2, 2, 2), p, 0.5))
    inputs = {key: value.to(DEVICE) for key, value in family_prompt(name, [(3, 2, 2)]).items()}
    expected = model(**inputs).logits
    seen: list[str] = []
    usual = fused.kernels_for

    def kernels_for(module: Any, kind: str, hidden: Tensor) -> Any:
        found = usual(module, kind, hidden)
        seen.extend([kind] if found is not None else [])
        return found

    monkeypatch.setattr(fused, "kernels_for", kernels_for)
    with use_backend("gpu"):
        logits = model(**inputs).logits
        torch.testing.assert_close(logits, expected, atol=2e-4, rtol=1e-3)
        assert {kind: seen.count(kind) // 2 for kind in seen} == {
            "norm": 3,  # the one before the FFN is asked for twice
            "attention": 1,
            "ffn": 1,
        }
        seen.clear()
        model(input_ids=inputs["input_ids"][:, :2])
        assert not seen


def patched_class(layer: Any, patch: pytest.MonkeyPatch) -> None:
    own = Qwen3VLTextMLP.forward
    patch.setattr(Qwen3VLTextMLP, "forward", lambda self, x: 2 * own(self, x))


def patched_norm(layer: Any, patch: pytest.MonkeyPatch) -> None:
    own = layer.self_attn.q_norm.forward
    layer.self_attn.q_norm.forward = lambda heads: 2 * own(heads)


def hooked_norm(layer: Any, patch: pytest.MonkeyPatch) -> None:
    layer.self_attn.k_norm.register_forward_hook(lambda norm, args, output: 2 * output)


def another_gate(layer: Any, patch: pytest.MonkeyPatch) -> None:
    layer.mlp.act_fn = torch.nn.GELU()


def hooked_gate(layer: Any, patch: pytest.MonkeyPatch) -> None:
    layer.mlp.act_fn.register_forward_hook(lambda gate, args, output: 2 * output)


@torch.no_grad()
@pytest.mark.parametrize(
    "change", [patched_class, patched_norm, hooked_norm, another_gate, hooked_gate]
)
def test_what_is_no_longer_transformers_own_computes_itself(
    change: Callable[[Any, pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = sparsify(family_model("qwen3_vl", shape=WIDE).to(DEVICE), CONFIG)
    inputs = {k: v.to(DEVICE) for k, v in family_prompt("qwen3_vl", [(3, 2, 2)]).items()}
    before = model(**inputs).logits
    change(model.model.language_model.layers[0], monkeypatch)
    expected = model(**inputs).logits
    assert not torch.allclose(expected, before, atol=1e-3)
    with use_backend("gpu"):
        torch.testing.assert_close(model(**inputs).logits, expected, atol=2e-4, rtol=1e-3)


@torch.no_grad()
def test_a_norm_may_be_given_its_argument_by_name() -> None:
    layer = sparsify(family_model("qwen2_vl"), CONFIG).model.language_model.layers[0]
    hidden = torch.randn(1, 3, 56)
    for norm in (layer.input_layernorm, layer.post_attention_layernorm):
        assert torch.equal(norm(hidden_states=hidden), norm(hidden))


@torch.no_grad()
def test_heads_of_an_odd_width_turn_themselves() -> None:
    """Kernels take powers of two; the attention of such heads is PyTorch's too."""
    model = family_model("qwen2_vl", shape=Shape(layers=1, hidden=7 * 24, head_dim=24))
    (layer,) = model.model.language_model.layers
    hidden = torch.randn(1, 3, 7 * 24)
    given = {"hidden_states": hidden, "position_embeddings": (torch.ones(1, 3, 24),) * 2}
    with use_backend("gpu"):
        assert layer.self_attn.head_dim == 24
        assert fused.attention(layer.self_attn, pytest.fail, given) is None


@torch.no_grad()
def test_what_others_put_into_a_module_is_done() -> None:
    """A hook hears of every part, and a `forward` of somebody's own stays."""
    model = sparsify(family_model("qwen2_5_vl", shape=WIDE).to(DEVICE), CONFIG)
    inputs = {k: v.to(DEVICE) for k, v in family_prompt("qwen2_5_vl", [(3, 2, 2)]).items()}
    text = getattr(model.model, family_of(model.config).text)
    layer = text.layers[0]
    heard: list[str] = []
    for part in ("input_layernorm", "self_attn", "post_attention_layernorm", "mlp"):
        module = getattr(layer, part)
        module.register_forward_hook(lambda *_, part=part: heard.append(part))
    own = layer.post_attention_layernorm.forward
    layer.post_attention_layernorm.forward = lambda hidden: 2 * own(hidden)
    expected = model(**inputs).logits
    before = list(heard)
    with use_backend("gpu"):
        logits = model(**inputs).logits
    assert heard == 2 * before and len(before) == 4
    torch.testing.assert_close(logits, expected, atol=2e-4, rtol=1e-3)
