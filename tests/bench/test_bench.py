"""The bench: no figure without parity, and figures that mean what they say."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
import torch
from models import tiny_model
from paths import ROOT

from adaspark import cli, doctor
from adaspark.bench.cpu import memory, parity, part_timers
from adaspark.bench.cpu import run as cpu
from adaspark.bench.cpu.run import run
from adaspark.kernels.backend import TILES, backend
from adaspark.kernels.cpu import loading as cpu_loading
from adaspark.method import attention
from adaspark.method.config import DENSE, AdaSparkConfig


def test_parity_holds() -> None:
    assert parity.largest_error() < parity.TOLERANCE


def test_no_figure_from_a_broken_backend(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    right = attention.query_tiles.attend

    def wrong(*args: Any) -> torch.Tensor:
        return right(*args) + 1e-3

    monkeypatch.setattr(attention.query_tiles, "attend", wrong)
    out = tmp_path / "bench.json"
    assert run(tokens=[128], repeats=1, quick=True, json_path=str(out)) == 1
    assert "no figures" in capsys.readouterr().out
    assert not out.exists()


def test_a_small_bench_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu, "peak_megabytes", lambda *_: 1.0)  # has a test of its own
    out = tmp_path / "bench.json"
    options = ["--quick", "--tokens", "512", "--repeats", "1", "--json", str(out)]
    assert cli.main(["bench", "cpu", *options]) == 0
    rows = json.loads(out.read_text("utf-8"))["rows"]
    assert [row["video_tokens"] for row in rows] == [512, 512, 512]
    assert [row["is_own"] for row in rows] == [False, False, True]
    assert rows[-1]["cube"] == [1, 2, 4] and rows[-1]["attn_top_p"] == 0.6
    for row in rows:
        stock, ours = row["seconds"]["stock"], row["seconds"]["adaspark"]
        assert 0 < row["attention_density"] <= (1 if row["is_own"] else 0.255)
        assert row["ffn_density"] < 0.6
        assert row["speedup"] == pytest.approx(stock["total"] / ours["total"])
        assert row["share_of_ideal"] == pytest.approx(row["speedup"] / row["ideal"])
        for condition in (stock, ours):
            assert 0 < condition["attention"] + condition["ffn"] < condition["total"]
        assert ours["selection"] > 0 and row["ideal"] > 1


@pytest.mark.parametrize("secs, rounds", [(0.01, 10), (0.25, 4), (9.0, 2)])
def test_short_prefills_take_more_rounds_in_turn_from_either_end(
    monkeypatch: pytest.MonkeyPatch, secs: float, rounds: int
) -> None:
    now, heard = [0.0], []

    def timed(bench: Any, prefill: Any, config: Any, condition: str) -> dict[str, float]:
        heard.append((condition, config))
        now[0] += secs
        return {"total": secs}

    monkeypatch.setattr(cpu, "_timed", timed)
    monkeypatch.setattr(cpu, "perf_counter", lambda: now[0])
    found = cpu._rounds(None, None, DENSE, repeats=2)  # type: ignore[arg-type]
    assert {name: len(each) for name, each in found.items()} == dict.fromkeys(found, rounds)
    there = [("stock", None), ("recorded", DENSE), ("adaspark", DENSE)]
    assert heard == [*there, *reversed(there)] * (rounds // 2)


@pytest.mark.long
def test_sparse_takes_no_more_memory_than_stock() -> None:
    """Of a prompt whose tensors are larger than what the system counts by the way."""
    config = AdaSparkConfig((4, 4, 4), 0.3, 0.5)
    stock, ours = (memory.peak_megabytes("bundled", 2048, c) for c in (None, config))
    assert 0 < ours <= stock


def test_watching_changes_nothing_and_leaves_nothing() -> None:
    model = tiny_model()
    hooks = [dict(module._forward_hooks) for module in model.modules()]
    with part_timers.selection_seconds() as chosen, part_timers.seconds_by_part(model) as seconds:
        pass
    assert chosen == [0.0]
    assert [dict(module._forward_hooks) for module in model.modules()] == hooks
    assert seconds["attention"] == 0 and seconds["total"] > 0


@pytest.mark.parametrize("options", [["--tokens", "1"], ["--repeats", "0"]])
def test_sizes_that_mean_nothing_are_refused(
    options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["bench", "cpu", *options]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_doctor_names_the_backend_and_finds_nothing_missing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["doctor"]) == 0
    printed = capsys.readouterr().out
    assert "MISSING" not in printed
    for name in ("torch", "transformers", "av", "attention backend", "bundled model"):
        assert name in printed


def test_doctor_says_why_there_are_no_kernels(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    absent = cpu_loading.Loaded(None, "the compiled kernels do not load: no numba")
    monkeypatch.setattr(cpu_loading, "load", lambda: absent)
    assert backend("cpu").name == TILES
    assert cli.main(["doctor"]) == 0
    printed = capsys.readouterr().out
    assert "no numba" in printed and "-> pip install --upgrade numba" in printed


def test_the_backend_of_this_machine_is_compiled() -> None:
    assert "numba" in backend("cpu").name and "numba" in backend("cpu").why
    assert backend("meta").name == TILES


def test_doctor_says_how_to_get_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def absent(name: str) -> str:
        raise doctor.PackageNotFoundError(name)

    monkeypatch.setattr(doctor, "version", absent)
    assert cli.main(["doctor"]) == 1
    printed = capsys.readouterr().out
    assert "-> pip install gradio" in printed
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    for extra in extras.keys() - {"test"}:
        assert f'-> pip install "adaspark-studio[{extra}]"' in printed
