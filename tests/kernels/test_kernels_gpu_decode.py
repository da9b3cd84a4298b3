"""Decoding by the GPU kernels: new text after a video, against exact selection and attention."""

from __future__ import annotations

from typing import Any

import interpreted
import pytest
import torch
from geometry import ODD, tensors
from long import some_of
from test_kernels_gpu import BIG, Ran, on_device, poison, run  # noqa: F401
from torch.utils._python_dispatch import TorchDispatchMode

from adaspark.kernels.gpu import attention as gpu_attention
from adaspark.kernels.gpu import decode_attention, decode_layer, decode_selection
from adaspark.kernels.gpu.thresholds import Thresholds
from adaspark.method import attention
from adaspark.method.rules import Rule, top_p
from adaspark.method.selection import nucleus
from adaspark.method.token_positions import TokenPositions

DEVICE = interpreted.DEVICE
VIDEOS = [name for name in ODD if name != "no video"]
ASKING = {"_local_scalar_dense", "nonzero", "masked_select", "_unique2", "unique_consecutive"}


def continued(name: str, count: int) -> TokenPositions:
    """The prompt, then `count` tokens one at a time: `added` is what the last call brought."""
    sequence = on_device(ODD[name])
    return sequence.continued(sequence.length, 2).continued(sequence.length + 2, count)


def decoded(sequence: TokenPositions, count: int, **named: Any) -> Ran:
    rule = top_p(named.get("rule", 0.6))
    heads, groups = named.get("heads", 4), named.get("groups", 2)
    assert rule.is_plain_nucleus
    cubes = sequence.layout.cubes
    asked = torch.empty(heads, count, 1)
    assert decode_selection.fits(asked, groups, added=sequence.added, cubes=cubes)
    return run(sequence, last=count, **named)


@pytest.mark.few(3)
@pytest.mark.usefixtures("poison")
@pytest.mark.parametrize("name", VIDEOS)
@some_of("count", [1, 3])
def test_new_text_attends_exactly_to_what_it_chose(name: str, count: int) -> None:
    decoded(continued(name, count), count, heads=6).check()


@pytest.mark.usefixtures("poison")
@some_of("splits", [1, 2, 5, 99], always=2)
@some_of("p", [0.01, 0.5, 0.999])
def test_keys_are_shared_by_any_number_of_programs(splits: int, p: float) -> None:
    """More than there are cubes too: a program without a key weighs nothing."""
    thresholds = Thresholds(splits=splits)
    decoded(continued("ragged", 1), 1, heads=7, groups=1, rule=p, thresholds=thresholds).check()


@pytest.mark.usefixtures("poison")
@some_of("text_p", [0.0, 0.3, 1.0])
def test_new_text_keeps_what_its_own_threshold_says(text_p: float) -> None:
    ran = run(continued("ragged", 2), last=2, heads=6, rule=Rule("top_p", 0.9, text_amount=text_p))
    ran.check()
    ((_, choice),) = ran.recorded
    assert bool(choice.kept.all()) == (text_p == 1) and bool(choice.kept.any()) == (text_p > 0)


@pytest.mark.usefixtures("poison")
def test_cubes_of_several_blocks() -> None:
    sequence = on_device(BIG)
    decoded(sequence.continued(sequence.length, 2), 2, heads=2, groups=1).check()


@pytest.mark.usefixtures("poison")
@some_of("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_the_error_is_at_most_twice_that_of_plain_attention(dtype: torch.dtype) -> None:
    ran = decoded(continued("ragged", 4), 4, heads=14, width=128, dtype=dtype)
    exact = ran.exact()
    mine = (ran.output.double() - exact).square().mean().sqrt()
    theirs = (ran.exact(dtype=dtype).double() - exact).square().mean().sqrt()
    assert ran.output.dtype == dtype and mine <= 2 * theirs, f"{mine:.2e} against {theirs:.2e}"
    assert ran.wrong_choices() == 0


@pytest.mark.few
@pytest.mark.parametrize("name", ["ragged", "padded", "cubes of one token"])
def test_decoding_is_what_the_general_kernels_compute(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    sequence = continued(name, 3)
    mine = decoded(sequence, 3)
    monkeypatch.setattr(decode_selection, "fits", lambda *_, **__: False)
    general = run(sequence, last=3)
    mine.check()
    general.check()
    ((segment, choice),), ((_, other),) = mine.recorded, general.recorded
    assert torch.equal(choice.kept, other.kept) and segment.is_text
    assert choice.executed_pairs >= int(choice.kept.sum())


def test_recording_changes_no_bit() -> None:
    ran = decoded(continued("ragged", 2), 2)
    silent = gpu_attention.sparse_attention(*ran.qkv, ran.sequence, rule=ran.rule, scale=ran.scale)
    assert torch.equal(silent, ran.output)


@some_of("p", [0.05, 0.5, 0.75, 0.999])
def test_ties_go_to_the_lower_cube(p: float) -> None:
    """Weights of one or of nothing: the kept set is that of a stable sort, member by member."""
    cubes, heads = 37, 6
    generator = torch.Generator().manual_seed(1)
    levels = torch.randint(0, 2, (heads, 2, cubes), generator=generator).to(DEVICE)
    queries = torch.zeros(heads, 2, 64, device=DEVICE)
    queries[..., :cubes] = levels * 200.0 - 100.0
    means = torch.eye(cubes, 64, device=DEVICE).expand(2, -1, -1)
    kept = decode_selection.choose(queries, means, p=p, scale=1.0).bool()
    assert torch.equal(kept, nucleus((levels * 200.0 - 100.0).softmax(-1), p))


@some_of("rows, width", [(7, 48), (1030, 530), (8200, 40)], always=2)
def test_products_are_those_of_torch(rows: int, width: int) -> None:
    """Where a program makes one output, four and eight; the last program has fewer to make."""
    generator = torch.Generator().manual_seed(6)
    shapes = ((1, 1, width), (rows, width), (rows,))
    source, weight, bias = (torch.randn(s, generator=generator).to(DEVICE) for s in shapes)
    for added in (None, bias):
        found = decode_layer.product(source, weight, added)
        expected = torch.nn.functional.linear(source, weight, added)
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


class AsksNothing(TorchDispatchMode):
    """Fails at operators whose answer the host has to wait for."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        assert name not in ASKING, f"{name} waits for the device"
        return func(*args, **(kwargs or {}))


def test_a_step_of_decoding_never_waits_for_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not to go on with the sequence, nor in any layer; the first step builds what all share."""
    sequence = continued("ragged", 1)
    queries, keys, values = (
        t.to(DEVICE) for t in tensors(sequence.continued(sequence.length, 1), width=64, last=1)
    )
    decoded(sequence, 1)
    means = attention.cube_means(keys, sequence)
    monkeypatch.setattr(decode_selection, "_score_kernel", Unlaunched())
    monkeypatch.setattr(decode_selection, "_nucleus_kernel", Unlaunched())
    monkeypatch.setattr(decode_attention, "_list_kernel", Unlaunched())
    monkeypatch.setattr(decode_attention, "_attend_kernel", Unlaunched())
    monkeypatch.setattr(decode_attention, "_combine_kernel", Unlaunched())
    with AsksNothing():
        assert not sequence.has_video_from(sequence.length)
        step = sequence.continued(sequence.length, 1)
        gpu_attention.sparse_attention(
            queries, keys, values, step, rule=top_p(0.6), scale=0.1, means=means
        )
    assert Unlaunched.asked == 5


class Unlaunched:
    """A kernel that is not run: its interpreter reads what a device would keep."""

    asked = 0

    def __getitem__(self, grid: Any) -> Any:
        Unlaunched.asked += 1
        return lambda *_, **__: None
