"""`adaspark bench gpu`: parity that can fail, planted selections that are what they say."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import interpreted
import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from adaspark import cli
from adaspark.bench.cpu.prompts import bundled
from adaspark.bench.gpu import captured as gpu_captured
from adaspark.bench.gpu import conditions as gpu_conditions
from adaspark.bench.gpu import flash_attn, planted_selections
from adaspark.bench.gpu import flex as gpu_flex
from adaspark.bench.gpu import model as gpu_model
from adaspark.bench.gpu import parity as gpu_parity
from adaspark.bench.gpu import run as gpu
from adaspark.bench.gpu.planted_selections import TILE, Planted, video_sequence
from adaspark.errors import UserError
from adaspark.kernels import flash
from adaspark.kernels.backend import use_backend
from adaspark.kernels.gpu import bits, tile_kernel
from adaspark.kernels.gpu import plan as gpu_plan
from adaspark.kernels.gpu import tables as gpu_tables
from adaspark.kernels.gpu.thresholds import MEASURED
from adaspark.method.rules import top_p

DEVICE = torch.device(interpreted.DEVICE)
GRID = (4, 5, 6)
TINY = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_attention_heads": 1,
    "num_key_value_heads": 1,
    "vocab_size": 64,
    "bos_token_id": 1,
    "eos_token_id": 1,
    "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [2, 3, 3]},
}


@pytest.fixture(autouse=True)
def few_heads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_parity, "HEADS", gpu_parity.GROUPS)


def test_parity_holds() -> None:
    found = list(gpu_parity.errors(DEVICE, grid=GRID))
    assert len(found) >= 5
    for name, error, limit in found:
        assert error <= limit, name


def test_parity_sees_a_wrong_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    right = tile_kernel.attend

    def wrong(queries: torch.Tensor, source: object, output: torch.Tensor, *rest, **named) -> None:
        right(queries, source, output, *rest, **named)
        output.mul_(1.05)

    monkeypatch.setattr(tile_kernel, "attend", wrong)
    assert any(error > limit for _, error, limit in gpu_parity.errors(DEVICE, grid=GRID))


@pytest.mark.parametrize("cube", [64, 128, 256])
@pytest.mark.parametrize("density, inflation", [(0.1, 1.0), (0.25, 2.0), (0.2, 4.0)])
def test_planted_selections_have_the_density_and_inflation_they_were_asked_for(
    cube: int, density: float, inflation: float
) -> None:
    sequence = video_sequence(16384, cube, torch.device("cpu"))
    drawn = Planted.draw(sequence, 2, density, inflation, max_bytes=2**16)
    assert len(drawn.chunks) > 1
    chosen = multiplied = before = 0
    for rows, words in drawn.chunks:
        own = torch.arange(rows.end_cube) == rows.own_cube[:, None]
        mask = bits.unpack(words, torch.arange(rows.count)) & ~own
        short = -rows.count % TILE
        tiled = torch.nn.functional.pad(mask, (0, 0, 0, short)).unflatten(1, (-1, TILE))
        chosen, multiplied = chosen + int(mask.sum()), multiplied + TILE * int(tiled.any(2).sum())
        before += 2 * int(rows.whole_cubes.sum())
    assert multiplied / chosen == pytest.approx(inflation, rel=0.15)
    assert chosen / before == pytest.approx(density, rel=0.15)


def test_planted_pairs_are_counted_key_by_key() -> None:
    sequence = video_sequence(2048, 64, torch.device("cpu"))
    drawn = Planted.draw(sequence, 2, 0.3, 1.5, max_bytes=2**30)
    ((rows, words),) = drawn.chunks
    allowed = torch.zeros(2, rows.count, sequence.length, dtype=torch.bool)
    mask = bits.unpack(words, torch.arange(rows.count))
    allowed[..., sequence.video_positions] = mask[..., sequence.layout.cube_from_token]
    allowed[..., sequence.text_positions] = True
    seen = torch.arange(sequence.length) <= rows.positions[:, None]
    assert drawn.pairs == int((allowed & seen).sum())


def test_gathering_pays_where_tiles_disagree() -> None:
    """The rule that routes, on planted selections: unions alone at inflation 1, not at 4."""
    sequence = video_sequence(4096, 256, DEVICE)
    for inflation, gathers in ((1.0, False), (4.0, True)):
        drawn = Planted.draw(sequence, 1, 0.2, inflation, max_bytes=2**30)
        ((_, words),) = drawn.chunks
        attending_rows = gpu_plan.count_attending(words, size=TILE)
        assert bool((gpu_plan._min_rows(attending_rows, TILE, 256, MEASURED) > 1).all()) == gathers


def test_speed_is_against_the_best_dense_backend() -> None:
    row = {"plan": 0.1, "attend": 0.5, "density": 0.25}
    found = gpu._against(row, 0.2, {"flash": 2.4, "cudnn": 1.6})
    assert found["speed"] == pytest.approx(2.0) and found["ideal"] == 4.0
    assert found["rate"] == pytest.approx(0.8)


@pytest.mark.parametrize("options", [["--tokens", "100"], ["--tokens", "1025"], ["--repeats", "0"]])
def test_sizes_that_mean_nothing_are_refused(
    options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["bench", "gpu", *options]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.skipif(DEVICE.type == "cuda", reason="a CUDA device is here")
def test_without_a_device_the_bench_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["bench", "gpu"]) == 2
    assert "bench cpu" in capsys.readouterr().err


def test_flash_attn_is_held_against_pytorch_on_the_studio_s_calls(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By a stand-in that is off by a tenth: it is told."""

    def dense(q: Any, k: Any, v: Any, *, softmax_scale: float, causal: bool) -> Any:
        q, k, v = (t.transpose(1, 2) for t in (q, k, v))
        mixed = scaled_dot_product_attention(
            q, k, v, is_causal=causal, scale=softmax_scale, enable_gqa=True
        )
        return 0.9 * mixed.transpose(1, 2)

    def windows(q: Any, k: Any, v: Any, *, cu_seqlens_q: Any, max_seqlen_q: int, **_: Any) -> Any:
        assert cu_seqlens_q.diff().eq(max_seqlen_q).all()
        rows = (t.unflatten(0, (-1, max_seqlen_q)).transpose(1, 2) for t in (q, k, v))
        return scaled_dot_product_attention(*rows).transpose(1, 2).flatten(0, 1)

    monkeypatch.setattr(flash, "load", lambda: flash.Flash("flash-attn 9", dense, windows))
    monkeypatch.setattr(flash_attn, "seconds", lambda work, repeats: float(repeats))
    monkeypatch.setattr(flash_attn, "PATCHES", 512)
    layer, *towers = flash_attn.compared(64, 3, DEVICE)
    assert layer["package"] == "flash-attn 9" and layer["flash ms"] == 3000
    assert layer["error"] == pytest.approx(0.1, abs=0.01)
    assert [row["tower"] for row in towers] == ["Qwen2.5-VL", "Qwen3-VL"]
    assert all(row["error"] == 0 for row in towers)
    monkeypatch.setattr(flash, "load", lambda: None)
    with pytest.raises(UserError, match="No flash-attn"):
        next(flash_attn.compared(64, 3, DEVICE))


@pytest.mark.gpu
@pytest.mark.skipif(DEVICE.type == "cpu", reason="needs a CUDA device")
def test_a_small_bench_is_written(tmp_path: Path) -> None:
    out = tmp_path / "bench.json"
    options = ["--quick", "--tokens", "4096", "--repeats", "1", "--json", str(out)]
    assert cli.main(["bench", "gpu", *options]) == 0
    result = json.loads(out.read_text("utf-8"))
    assert result["setting"]["accelerator"] != "none"
    assert {row["cube"] for row in result["attention"]} == {64, 128}


@pytest.mark.long
def test_a_model_is_timed_on_planted_selections(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every condition prefills; the sparse ones attend by the kernels, as dense as they report."""
    prefilled: list[torch.Tensor] = []

    def once(work: Callable[[], torch.Tensor], repeats: int) -> float:
        prefilled.append(work())
        return float(len(prefilled))

    monkeypatch.setattr(gpu_model, "seconds", once)
    for module in (planted_selections, gpu_model):
        monkeypatch.setattr(module, "SIDE", 8)
        monkeypatch.setattr(module, "TEXT", 8)
    monkeypatch.setattr(gpu_model, "CUBE_TOKENS", (64,))
    model = gpu_model.build(DEVICE, layers=1, **TINY)
    with use_backend("gpu"):
        (found,) = gpu_model.prefills(model, 128, 1)
    times = {name: time for name, time in found.items() if name.endswith("ms")}
    assert sorted(times.values()) == [1e3, 2e3, 3e3, 4e3, 5e3, 6e3]
    assert times["dense ms"] == 1e3 and times["both, inflation 1.5 ms"] == 6e3
    assert 0.1 < found["attention density"] < 0.6
    assert all(logits.isfinite().all() for logits in prefilled)
    dense, passed, attended, both, *_ = prefilled
    assert torch.equal(passed, dense)  # the last word always passes, and one layer is all there is
    assert torch.equal(both, attended) and not torch.equal(attended, dense)


def test_dense_is_timed_once_for_all_cubes(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter(range(1, 9))
    monkeypatch.setattr(gpu_model, "seconds", lambda work, repeats: next(times))
    monkeypatch.setattr(gpu_model, "_sparse", lambda model, prefill, tokens, cube, repeats: {})
    model = gpu_model.build(DEVICE, layers=1, **TINY)
    rows = list(gpu_model.prefills(model, 1024, 1))
    assert [(row["cube"], row["dense ms"]) for row in rows] == [(64, 1e3), (256, 1e3)]


def test_a_long_prefill_chooses_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_model, "seconds", lambda work, repeats: float(work().isfinite().all()))
    monkeypatch.setattr(gpu_model, "SIDE", 8)
    monkeypatch.setattr(gpu_model, "TEXT", 8)
    if DEVICE.type == "cpu":
        monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda: None)
        monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: 3e9)
    model = gpu_model.build(DEVICE, layers=1, **TINY)
    with use_backend("gpu"):
        found = gpu_model.long_prefill(model, 512)
    assert found["seconds"] == 1 and found["peak GB"] > 0 and found["long tokens"] == 512


def test_selections_are_captured_from_every_layer_of_the_bundled_model() -> None:
    """With the thresholds that were asked for, and the geometry that they were made on."""
    calls = gpu_captured._captured(bundled(), 512, 0.7)
    assert len(calls) == 6
    assert gpu_captured._config(0.7).attention_in(0) == top_p(0.7)
    for queries, keys, sequence, scale in calls:
        assert queries.shape == (4, sequence.length, 64) and keys.shape[0] == 2
        assert scale == 64**-0.5
        moved = gpu_captured._moved(sequence, DEVICE)
        assert torch.equal(moved.video_positions.cpu(), sequence.video_positions)
        assert moved.layout.grids == sequence.layout.grids


@pytest.mark.long
@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
def test_flex_attention_is_given_the_same_mask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planted_selections, "SIDE", 8)
    sequence = video_sequence(512, 64, DEVICE)
    drawn = Planted.draw(sequence, 2, 0.3, 2.0, max_bytes=2**30)
    ((rows, selected),) = drawn.chunks
    blocks = gpu_tables.KeyBlocks.of(sequence)
    generator = torch.Generator().manual_seed(0)

    def draw(heads: int) -> torch.Tensor:
        return torch.randn(heads, sequence.length, 32, generator=generator).to(DEVICE)

    arena = gpu_conditions.Arena(512, 20 * draw(2), draw(1), draw(1))
    with torch.no_grad():
        theirs, places = gpu_flex.prepared(arena, blocks, rows, selected, compiled=False)
        gpu_flex._compare(arena, blocks, rows, selected, theirs(), places)
        with pytest.raises(UserError, match="differ"):
            gpu_flex._compare(arena, blocks, rows, torch.zeros_like(selected), theirs(), places)


def test_a_model_that_runs_elsewhere_is_no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_model, "seconds", lambda work, repeats: 1.0)
    model = gpu_model.build(DEVICE, layers=1, **TINY)
    with pytest.raises(UserError, match="doctor"):
        list(gpu_model.prefills(model, 1024, 1))
