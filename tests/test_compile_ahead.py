"""Kernels compiled ahead: what is asked, by which way, and what a user is told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from clips import write_clip
from fake_engine import FakeEngine
from family_models import BY_NAME, Shape, family_config

from adaspark import cli
from adaspark.ask import ahead
from adaspark.errors import UserError
from adaspark.method.config import AdaSparkConfig, Grid
from adaspark.model.checkpoint import BUNDLED, load
from adaspark.model.engine import Engine
from adaspark.model.families import model_class
from adaspark.model.rehearsal import WORDS, rehearse


def test_every_shape_is_asked_for_once_beside_the_default_and_dense() -> None:
    default = AdaSparkConfig((2, 4, 4), 0.6, 0.3, text_top_p=0.9)
    found = list(ahead.settings(default).values())
    assert found[0] == default
    assert found[1] == replace(default, attn_top_p=1.0, ffn_top_p=1.0, text_top_p=None)
    assert sorted(c.cube for c in (found[0], *found[2:])) == sorted({*ahead.CUBES, (2, 4, 4)})
    assert {(c.attn_top_p, c.ffn_top_p, c.text_top_p) for c in found[2:]} == {(0.6, 0.3, 0.9)}


def test_every_setting_is_asked_twice_the_way_of_a_question(tmp_path: Path) -> None:
    engine: Any = FakeEngine()
    found = list(ahead.compile_ahead(engine, write_clip(tmp_path / "clip.mp4")))
    names = list(ahead.settings(engine.default_config))
    assert [row.name for row in found] == names
    assert len(engine.asked) == 2 * len(names)


def test_without_a_video_noise_is_answered_about_in_every_setting(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ahead, "CUBES", ((2, 4, 4),))
    monkeypatch.setattr(ahead, "CPU_GRIDS", ((3, 4, 5), (2, 2, 2)))
    asked: list[tuple[AdaSparkConfig, Grid]] = []
    usual = Engine.rehearse

    def rehearse(self: Engine, config: AdaSparkConfig, grid: Grid) -> None:
        usual(self, config, grid)
        asked.append((config, grid))

    monkeypatch.setattr(Engine, "rehearse", rehearse)
    assert cli.main(["doctor", "--compile", "--device", "cpu"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 4
    default = Engine().default_config
    twice = [
        (config, grid)
        for config in ahead.settings(default).values()
        for _ in range(2)
        for grid in ahead.CPU_GRIDS
    ]
    assert asked == twice


def test_noise_that_the_model_does_not_hold_is_left_out() -> None:
    engine: Any = FakeEngine()
    engine.device, engine.max_video_tokens = "cuda:0", 10_000
    assert {grid for _, grid in ahead.rehearsals(engine)} == {(62, 6, 11)}


@pytest.mark.parametrize("name", ["qwen2_5_vl", "qwen3_vl", "qwen3_5"])
def test_a_rehearsal_goes_the_way_of_a_question(name: str) -> None:
    """Recorded, with every input that the family's model takes."""
    bundled = load(BUNDLED, device="cpu")
    config = bundled.model.config
    ids = {
        key: getattr(config, key)
        for key in ("video_token_id", "image_token_id", "vision_start_token_id")
    }
    shape = Shape(vocab=config.text_config.vocab_size)
    model = model_class(BY_NAME[name])(family_config(name, shape, **ids)).eval()
    found = rehearse(replace(bundled, model=model), AdaSparkConfig((2, 2, 2), 0.5, 0.5), (4, 3, 5))
    assert found is not None and len(found.cube_from_token) == 4 * 3 * 5
    assert 0 < found.attention_density < 1 and 0 < found.answer_queries().size < WORDS


def test_a_video_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="none"):
        list(ahead.compile_ahead(Engine(), tmp_path / "none.mp4"))


def test_the_command_prints_a_line_a_setting_and_what_ran(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(ahead, "CUBES", ((1, 4, 4),))
    clip = str(write_clip(tmp_path / "clip.mp4"))
    assert cli.main(["doctor", "--compile", clip, "--device", "cpu"]) == 0
    *rows, last = capsys.readouterr().out.splitlines()
    assert len(rows) == 3 and all(row.startswith("compiled ") for row in rows)
    assert "the default" in rows[0] and "dense" in rows[1] and "cube 1,4,4" in rows[2]
    assert "on cpu" in last and "numba" in last


def test_an_unknown_model_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["doctor", "--compile", "clip.mp4", "--model", "/nowhere"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
