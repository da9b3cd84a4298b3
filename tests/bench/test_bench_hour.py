"""`adaspark bench hour`: footage that goes on, a question about it, and the figures of both."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from adaspark.bench.hour import asked, footage
from adaspark.bench.hour import run as hour
from adaspark.bench.hour import table as hour_table
from adaspark.bench.hour.footage import CODECS, FPS, write_footage
from adaspark.bench.serve import models as serve_models
from adaspark.errors import UserError
from adaspark.model.events import Phase, Word
from adaspark.model.request import Event
from adaspark.progress import with_time_left
from adaspark.video.probe import scan


@pytest.mark.parametrize("codec", CODECS)
def test_footage_goes_on_by_the_clock_and_looks_alike_in_each_turn(
    codec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(footage, "LOOP_SECS", 1)
    opened = scan(write_footage(tmp_path, codec, seconds=3))
    assert (opened.info.codec, opened.info.width, opened.info.height) == (codec, 1280, 720)
    assert opened.info.frames == 3 * FPS and opened.info.duration_secs == pytest.approx(3, abs=0.05)
    assert not opened.info.warnings
    first, *later = opened.pictures([0.5, 1.5, 2.5])
    assert all(picture.is_whole for picture in (first, *later))
    for picture in later:
        assert np.array_equal(picture.rgb, first.rgb)


@pytest.mark.long
def test_a_minute_is_asked_and_its_figures_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(footage, "LOOP_SECS", 1)
    target = tmp_path / "hour.json"
    assert hour.run(codecs=["h264"], minutes=1, frames=[80], json_path=str(target)) == 0
    result = json.loads(target.read_text("utf-8"))
    (row,) = result["rows"]
    (found,) = row["asked"]
    assert row["codec"] == "h264" and result["minutes"] == 1 and result["setting"]["commit"]
    assert found["frames"] == 80 and found["video_tokens"] == 40 * 15
    assert found["peak_megabytes_until"].keys() == {"decode", "vision", "prefill", "generate"}
    assert 0 < found["peak_megabytes"] < 1000 and found["seconds"]["whole"] > 0
    assert min(row["few"].values()) > 0 and min(row["few_of_longer"].values()) > 0
    assert found["model"] == "mini" and found["page_megabytes"] > 0.1
    assert "80 frames, 600 tokens" in capsys.readouterr().out


@pytest.mark.parametrize(("minutes", "frames"), [(0, [10]), (1, [1])])
def test_what_is_no_video_is_refused(minutes: int, frames: list[int]) -> None:
    with pytest.raises(UserError, match="at least 1 minute"):
        hour.run(codecs=["h264"], minutes=minutes, frames=frames, json_path=None)


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def told(out: StringIO) -> list[str]:
    """What `with_time_left` writes of a run of one second a step."""
    events: list[Event] = [Phase("decode", 1, 200), Phase("decode", 2, 200)]
    events += [Phase("vision", done, 200) for done in (100, 110, 200)]
    events += [
        Phase("decode", 200, 200),
        Phase("prefill", 1, 2),
        Phase("prefill", 2, 2),
        Phase("generate", 1, 4),
        Word("a"),
    ]
    seconds = iter(range(1000))

    def clock() -> float:
        return next(seconds)

    assert list(with_time_left(iter(events), out, clock=clock)) == events
    return out.getvalue().replace("\r\033[K", "\n").split("\n")


def test_a_terminal_is_told_each_phase_and_the_time_left() -> None:
    lines = told(Terminal())
    assert "decode: 1 of 200 frames" in lines and "vision: 110 of 200 frames, 18 s left" in lines
    assert "prefill: 2 of 2 layers, 0 s left" in lines and lines[-1] == ""


def test_a_file_is_told_each_phase_once_in_a_while() -> None:
    lines = told(StringIO())
    assert lines == [
        "decode: 1 of 200 frames",
        "vision: 100 of 200 frames",
        "prefill: 1 of 2 layers",
        "",
    ]


def test_the_table_shows_every_run(tmp_path: Path) -> None:
    found: dict[str, Any] = {"frames": 3600, "video_tokens": 27000, "peak_megabytes": 812.4}
    found["seconds"] = {"decode": 61.2, "vision": 30.0, "prefill": 99.9, "whole": 192.0}
    used = {"processor": "a processor", "torch": "2", "transformers": "5", "commit": "abc"}
    row: dict[str, Any] = {"codec": "vp9", "asked": [found], "few": {"scan": 0.8, "frames": 3.14}}
    row["few_of_longer"] = {"scan": 2.0, "frames": 4.96}
    text = json.dumps({"setting": used, "minutes": 60, "rows": [row]})
    (tmp_path / "vp9.json").write_text(text, encoding="utf-8")
    shown = hour_table.written(tmp_path)
    assert "| vp9 | 3,600 | 27,000 | 61 s | 30 s | 100 s | 192 s | 812 MB |" in shown
    assert "| 0.8 s, 3.1 s | 2.0 s, 5.0 s |" in shown
    assert "a processor" in shown and "commit abc" in shown


def test_the_table_names_the_machine_of_each_run(tmp_path: Path) -> None:
    """Runs of one machine and commit are named together."""
    found: dict[str, Any] = {"frames": 3600, "video_tokens": 27000, "peak_megabytes": 812.4}
    found["seconds"] = {"decode": 61.2, "vision": 30.0, "prefill": 99.9, "whole": 192.0}
    for codec, processor in (("h264", "one"), ("hevc", "another"), ("vp9", "another")):
        used = {"processor": processor, "torch": "2", "transformers": "5", "commit": "abc"}
        row = {"codec": codec, "few": {"scan": 0.8, "frames": 3.14}, "asked": [found]}
        text = json.dumps({"setting": used, "minutes": 60, "rows": [row]})
        (tmp_path / f"{codec}.json").write_text(text, encoding="utf-8")
    shown = hour_table.written(tmp_path).splitlines()[-1]
    assert "h264: one, torch 2" in shown and "hevc and vp9: another, torch 2" in shown


def test_a_full_size_model_has_a_table_of_its_own(tmp_path: Path) -> None:
    bundled: dict[str, Any] = {"frames": 3600, "video_tokens": 27000, "peak_megabytes": 812.4}
    bundled["seconds"] = {"decode": 61.2, "vision": 30.0, "prefill": 99.9, "whole": 192.0}
    full = bundled | {"model": "7B", "video_tokens": 108000, "device_peak_gigabytes": 43.21}
    full["seconds"] = bundled["seconds"] | {"generate": 0.25, "page": 4.44}
    used = {"processor": "one", "torch": "2", "transformers": "5", "commit": "abc"}
    for name, found, accelerator in (("h264", bundled, "none"), ("h200", full, "a card")):
        row = {"codec": "h264", "few": {"scan": 0.8, "frames": 3.14}, "asked": [found]}
        setting = used | {"accelerator": accelerator, "threads": 14}
        text = json.dumps({"setting": setting, "minutes": 60, "rows": [row]})
        (tmp_path / f"{name}.json").write_text(text, encoding="utf-8")
    first, second = hour_table.written(tmp_path).split("The same 60 minutes")
    assert "| h264 | 3,600 | 27,000 |" in first and "108,000" not in first
    seconds = "61.2 s | 30.0 s | 99.9 s | 0.2 s | 192.0 s | 4.4 s"
    assert f"| 7B | h264 | 3,600 | 108,000 | {seconds} | 43.2 GB | 812 MB |" in second
    assert "--models 7B" in second and "a card and 14 threads" in second


def test_an_engine_is_given_a_model_of_random_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = serve_models.load("mini", torch.device("cpu"))
    loaded = []

    def load(name: str, device: torch.device) -> Any:
        loaded.append((name, device.type))
        return served

    monkeypatch.setattr(serve_models, "load", load)
    engine = asked._engine("7B", tmp_path)
    assert loaded == [("7B", "cuda" if torch.cuda.is_available() else "cpu")]
    assert engine.name == "mini" and engine.default_config == served.checkpoint.config
