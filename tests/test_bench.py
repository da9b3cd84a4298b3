"""The bench: no figure without parity, and figures that mean what they say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from adaspark import attention, cli, doctor
from adaspark.bench import parity
from adaspark.bench.cpu import run


def test_parity_holds() -> None:
    assert parity.largest_error() < parity.TOLERANCE


def test_no_figure_from_a_broken_backend(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    right = attention.tiles.attend

    def wrong(*args: Any) -> torch.Tensor:
        return right(*args) + 1e-3

    monkeypatch.setattr(attention.tiles, "attend", wrong)
    out = tmp_path / "bench.json"
    assert run(tokens=[128], repeats=1, json_path=str(out)) == 1
    assert "no figures" in capsys.readouterr().out
    assert not out.exists()


def test_a_small_bench_is_written(tmp_path: Path) -> None:
    out = tmp_path / "bench.json"
    assert cli.main(["bench", "cpu", "--tokens", "512", "--repeats", "1", "--json", str(out)]) == 0
    (row,) = json.loads(out.read_text("utf-8"))["rows"]
    assert row["video_tokens"] == 512
    assert 0 < row["attention_density"] <= 0.25
    assert row["speedup"] == pytest.approx(row["seconds"]["stock"] / row["seconds"]["adaspark"])
    assert row["ideal"] > 1


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


def test_doctor_says_how_to_get_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def absent(name: str) -> str:
        raise doctor.PackageNotFoundError(name)

    monkeypatch.setattr(doctor, "version", absent)
    assert cli.main(["doctor"]) == 1
    assert "-> pip install gradio" in capsys.readouterr().out
