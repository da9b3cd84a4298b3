"""flash-attn by stand-ins with its two versions' signatures: called right, gated, not relied on.

The machine that runs these has neither the package nor a GPU: what is shown is how and when it is
called. The real flash-attn-4 was tried on an H200 (`assets/results/bench/gpu/flash.json`).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from itertools import pairwise
from types import ModuleType
from typing import Any, ClassVar

import pytest
import torch
from models import prompt, tiny_model
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from adaspark.kernels import flash
from adaspark.kernels.backend import backend
from adaspark.method.config import DENSE
from adaspark.model import vision
from adaspark.model.qwen import sparsify

GRID = (3, 4, 4)


def attended(q: Tensor, k: Tensor, v: Tensor, scale: float | None, causal: bool) -> Tensor:
    """[B, S, H, D], as both versions compute it."""
    rows = [t.transpose(1, 2) for t in (q, k, v)]
    mixed = scaled_dot_product_attention(*rows, scale=scale, is_causal=causal, enable_gqa=True)
    return mixed.transpose(1, 2)


def by_window(q: Tensor, k: Tensor, v: Tensor, starts: Tensor, scale: float | None) -> Tensor:
    bounds = starts.tolist()
    parts = [
        attended(*(t[None, a:b] for t in (q, k, v)), scale=scale, causal=False)[0]
        for a, b in pairwise(bounds)
    ]
    return torch.cat(parts)


class Two:
    """flash-attn 2.8: positional lengths, dropout before the scale, the output alone."""

    package, version = ("flash_attn", "flash-attn"), "2.8.3"
    calls: ClassVar[list[str]] = []

    @classmethod
    def flash_attn_func(
        cls, q: Tensor, k: Tensor, v: Tensor, dropout_p: float = 0.0, softmax_scale: Any = None,
        causal: bool = False, window_size: Any = (-1, -1), softcap: float = 0.0,
        alibi_slopes: Any = None, deterministic: bool = False, return_attn_probs: bool = False,
    ) -> Tensor:  # fmt: skip
        cls.calls.append("dense")
        assert not dropout_p
        return attended(q, k, v, softmax_scale, causal)

    @classmethod
    def flash_attn_varlen_func(
        cls, q: Tensor, k: Tensor, v: Tensor, cu_seqlens_q: Tensor, cu_seqlens_k: Tensor,
        max_seqlen_q: int, max_seqlen_k: int, dropout_p: float = 0.0, softmax_scale: Any = None,
        causal: bool = False, window_size: Any = (-1, -1), softcap: float = 0.0,
        alibi_slopes: Any = None, deterministic: bool = False, return_attn_probs: bool = False,
        block_table: Any = None,
    ) -> Tensor:  # fmt: skip
        cls.calls.append("windows")
        assert cu_seqlens_q.dtype == torch.int32 and not causal and not dropout_p
        assert max_seqlen_q == max_seqlen_k == int(cu_seqlens_q.diff().max())
        return by_window(q, k, v, cu_seqlens_q, softmax_scale)


class Four:
    """The version in CuTe: `qv` fourth, no dropout, the log-sums beside the output."""

    package, version = ("flash_attn.cute", "flash-attn-4"), "4.0.0b36"
    calls: ClassVar[list[str]] = []

    @classmethod
    def flash_attn_func(
        cls, q: Tensor, k: Tensor, v: Tensor, qv: Any = None, gather_kv_indices: Any = None,
        softmax_scale: Any = None, causal: bool = False, window_size: Any = (None, None),
    ) -> tuple[Tensor, None]:  # fmt: skip
        cls.calls.append("dense")
        return attended(q, k, v, softmax_scale, causal), None

    @classmethod
    def flash_attn_varlen_func(
        cls, q: Tensor, k: Tensor, v: Tensor, qv: Any = None, cu_seqlens_q: Any = None,
        cu_seqlens_k: Any = None, max_seqlen_q: Any = None, max_seqlen_k: Any = None,
        min_seqlen_k: Any = None, softmax_scale: Any = None, causal: bool = False,
    ) -> tuple[Tensor, None]:  # fmt: skip
        cls.calls.append("windows")
        return by_window(q, k, v, cu_seqlens_q, softmax_scale), None


@pytest.fixture(params=[Two, Four])
def installed(request: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """One version, on tensors that pass for a GPU's; it is the faster one until a test says so."""
    kind = request.param
    module: Any = ModuleType(kind.package[0])
    module.flash_attn_func = kind.flash_attn_func
    module.flash_attn_varlen_func = kind.flash_attn_varlen_func
    kind.calls.clear()
    monkeypatch.setitem(sys.modules, "flash_attn", ModuleType("flash_attn"))
    monkeypatch.setitem(sys.modules, kind.package[0], module)
    monkeypatch.setattr(flash, "PACKAGES", (kind.package,))
    monkeypatch.setattr(flash, "version", lambda _: kind.version)
    monkeypatch.setattr(flash, "_may", lambda _: not torch.is_grad_enabled())
    monkeypatch.setattr(flash, "_faster", {})
    takes(monkeypatch, theirs=1.0, stock=2.0)
    flash.load.cache_clear()
    yield kind
    flash.load.cache_clear()


def takes(monkeypatch: pytest.MonkeyPatch, *, theirs: float, stock: float) -> None:
    """The clock says so: first flash-attn is timed, then PyTorch."""
    times = iter([theirs, stock] * 99)
    monkeypatch.setattr(flash, "seconds", lambda work: next(times))


@torch.inference_mode()
def logits(model: Any) -> Tensor:
    found: Tensor = model(**prompt([GRID])).logits
    return found


def test_p_1_is_computed_by_it_and_equals_the_stock_model(installed: Any) -> None:
    stock = logits(tiny_model())
    model = sparsify(tiny_model(), DENSE)
    found = logits(model)
    assert "dense" in installed.calls and all(flash._faster.values())  # and none was refused
    torch.testing.assert_close(found, stock, atol=1e-5, rtol=1e-4)


def test_the_tower_s_windows_are_computed_by_it(installed: Any) -> None:
    visual = tiny_model().model.visual
    pixels = torch.randn(3 * 16 * 4, visual.patch_embed.proj.weight[0].numel())
    with torch.inference_mode():
        expected = visual(pixels, grid_thw=torch.tensor([[3, 8, 8]])).pooler_output
        found, *_ = vision.encode(visual, pixels, GRID)
    assert "windows" in installed.calls and all(flash._faster.values())  # and none was refused
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def test_each_kind_of_tensors_is_timed_once(
    installed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = sparsify(tiny_model(), DENSE)
    logits(model)
    after = len(installed.calls)
    monkeypatch.setattr(flash, "seconds", lambda work: pytest.fail("timed again"))
    logits(model)
    assert len(installed.calls) > after


def test_where_it_is_slower_pytorch_computes(
    installed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    takes(monkeypatch, theirs=2.0, stock=1.0)
    model = sparsify(tiny_model(), DENSE)
    logits(model)
    installed.calls.clear()
    logits(model)
    assert not installed.calls


@pytest.mark.parametrize("fault", ["raises", "differs", "is shaped otherwise", "is not a number"])
def test_what_fails_or_differs_is_not_used(installed: Any, fault: str) -> None:
    rows = torch.randn(1, 4, 6, 8), torch.randn(1, 2, 6, 8), torch.randn(1, 2, 6, 8)

    def stock() -> Tensor:
        return attended(*(t.transpose(1, 2) for t in rows), scale=0.3, causal=True)

    def broken(*_: Any, **__: Any) -> Tensor:
        if fault == "raises":
            raise RuntimeError("no kernel for this card")
        if fault == "is shaped otherwise":
            return stock()[:, 1:]
        return stock() + (float("nan") if fault == "is not a number" else 1.0)

    usual = flash.load()
    assert usual is not None
    wrong: Callable[[], Any] = lambda: usual._replace(func=broken)  # noqa: E731
    with pytest.MonkeyPatch.context() as patched, torch.inference_mode():
        patched.setattr(flash, "load", wrong)
        for _ in range(2):
            assert torch.equal(flash.dense(*rows, scale=0.3, stock=stock), stock())


def test_gradients_and_other_implementations_are_left_alone(installed: Any) -> None:
    model = sparsify(tiny_model(), DENSE)
    model(**prompt([GRID])).logits.sum().backward()
    model.set_attn_implementation("eager")
    logits(model)
    assert not installed.calls


def test_what_is_installed_is_said(installed: Any) -> None:
    assert f"{installed.package[1]} {installed.version}" in backend("cpu").why


def test_without_it_nothing_is_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flash, "PACKAGES", (("not_flash_attn", "not-flash-attn"),))
    flash.load.cache_clear()
    assert flash.load() is None and "stock scaled_dot_product_attention" in backend("cpu").why
    flash.load.cache_clear()


def test_a_package_that_lacks_what_it_needs_is_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As flash-attn-4 without `nvidia-cutlass-dsl`; a package that is not there is no news."""

    def fail(name: str) -> Any:
        raise ModuleNotFoundError(
            "No module named 'cutlass'", name="flash_attn" if name == "flash_attn" else "cutlass"
        )

    monkeypatch.setattr(flash, "import_module", fail)
    flash.load.cache_clear()
    assert flash.load() is None
    assert caplog.text.count("flash-attn-4 does not load: No module named 'cutlass'") == 1
    assert "flash-attn does not" not in caplog.text
    flash.load.cache_clear()


def test_a_package_that_does_not_load_is_said_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(name: str) -> Any:
        raise OSError("libcudart.so.12: cannot open shared object file")

    monkeypatch.setattr(flash, "import_module", fail)
    flash.load.cache_clear()
    assert flash.load() is None and flash.load() is None
    assert caplog.text.count("libcudart.so.12") == len(flash.PACKAGES)
    flash.load.cache_clear()
