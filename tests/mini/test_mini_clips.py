"""`adaspark world`: a clip file for each family, with its questions and its whole event log."""

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import av
import pytest
import torch

from adaspark import cli
from adaspark.errors import UserError
from adaspark.mini.questions.families import FAMILIES, settings_for
from adaspark.mini.training.model import FPS, MAX_PIXELS, MIN_PIXELS
from adaspark.mini.world.clips import SUFFIXES, make_world
from adaspark.mini.world.event import Event
from adaspark.mini.world.render import render
from adaspark.mini.world.seeds import held_out_seed
from adaspark.mini.world.world import sample_scene
from adaspark.video.clip import Sampling, read_clip

SIZE = (112, 112)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_asked_family_comes_first(family: str, tmp_path: Path) -> None:
    made = make_world(family, 16, 5, tmp_path / "a.mp4", size=(56, 56))
    families = [item["family"] for item in made["items"]]
    assert families[0] == family and len(set(families)) == len(families) >= 3
    assert all(item.keys() == {"family", "question", "answer"} for item in made["items"])
    assert set(families) <= set(FAMILIES)


def test_a_slow_clip_lasts_longer_with_six_pictures_a_frame(tmp_path: Path) -> None:
    path = tmp_path / "slow.mp4"
    made = make_world("needle", 16, 3, path, size=(56, 56), depth=0.5, fps=1)
    assert made["fps"] == 6 and made["scene"]["secs"] == 16
    shown = read_clip(path, Sampling(fps=1, max_frames=64, min_pixels=56 * 56, max_pixels=56 * 56))
    assert len(shown.frames) == 16
    needle = made["events"][made["scene"]["needle"]]
    assert needle["end_secs"] - needle["start_secs"] == pytest.approx(6.0, abs=0.01)
    for rate in (0, 5, -1):
        with pytest.raises(UserError, match="A rate is above 0 and at most 4"):
            make_world("needle", 16, 3, path, size=(56, 56), fps=rate)


def test_a_clip_may_have_fewer_pictures_and_fewer_questions(tmp_path: Path) -> None:
    """The model is shown the same frames, whatever lies between them."""
    how: dict[str, Any] = {"size": (56, 56), "depth": 0.5, "fps": 1}
    whole = make_world("needle", 16, 3, tmp_path / "whole.mp4", **how)
    few = make_world("needle", 16, 3, tmp_path / "few.mp4", **how, pictures=2, others=("absent",))
    assert few["fps"] == 2 and few["events"] == whole["events"]
    assert [item["family"] for item in few["items"]] == ["needle", "absent"]
    assert few["items"] == [i for i in whole["items"] if i["family"] in ("needle", "absent")]
    sampling = Sampling(fps=1, max_frames=64, min_pixels=56 * 56, max_pixels=56 * 56)
    one, other = (read_clip(tmp_path / f"{name}.mp4", sampling) for name in ("whole", "few"))
    assert one.times_secs == pytest.approx(other.times_secs)
    apart = torch.as_tensor(one.frames).float() - torch.as_tensor(other.frames).float()
    assert len(one.frames) == len(other.frames) == 16 and apart.abs().mean() < 4


def test_the_file_holds_the_frames_that_the_model_should_see(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    made = make_world("needle", 24, 3, path, size=SIZE, depth=0.5)
    shown = read_clip(
        path, Sampling(fps=FPS, max_frames=64, min_pixels=MIN_PIXELS, max_pixels=MAX_PIXELS)
    )
    settings = settings_for("needle", 24, SIZE, objects=(2, 4), needle=(0.5, 1.5))
    scene = sample_scene(held_out_seed("clips", 3000), settings)
    drawn = render([scene], [index / 4 for index in range(24)], SIZE)[0]
    assert len(shown.frames) == 24 and shown.grid == (12, 4, 4)
    difference = (torch.as_tensor(shown.frames).float() - drawn.float()).abs()
    assert difference.mean() < 4 and difference.mean((1, 2, 3)).max() < 8
    needle = made["events"][made["scene"]["needle"]]
    assert needle["start_secs"] < 3.0 < needle["end_secs"]
    assert made["items"][0]["answer"] in (needle["color"], needle["shape"])


def test_the_json_is_what_is_returned_and_names_every_part(tmp_path: Path) -> None:
    made: dict[str, Any] = make_world("motion", 16, 9, tmp_path / "a.mp4", size=(56, 56))
    written = json.loads((tmp_path / "a.json").read_text())
    assert written == json.loads(json.dumps(made))
    assert written.keys() == {"items", "events", "scene", "fps", "seed"}
    painted = {"rgb", "turn_rgb", "angle"}
    assert all(e.keys() == {f.name for f in fields(Event)} - painted for e in written["events"])
    assert written["scene"].keys() == {
        "secs", "size", "style", "camera", "distractors", "occluder", "needle",
    }  # fmt: skip


def test_the_same_command_writes_the_same_clip(tmp_path: Path) -> None:
    for name in ("a", "b"):
        arguments = ["--family", "lookalike", "--frames", "8", "--size", "56", "--seed", "4"]
        assert cli.main(["world", str(tmp_path / f"{name}.mp4"), *arguments]) == 0
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"family": "color"}, "There is no family 'color'"),
        ({"frames": 3}, "needs 4 frames"),
        ({"size": (100, 112)}, "multiples of 28"),
        ({"size": (28, 28)}, "multiples of 28"),
        ({"depth": 0.5}, 'for the family "needle"'),
        ({"family": "needle", "depth": 1.5}, "depth from 0"),
        ({"family": "at_time", "frames": 4}, "ask for more frames"),
        ({"seed": -1}, "number from 0"),
    ],
)
def test_what_cannot_be_made_is_said(changed: dict[str, Any], said: str, tmp_path: Path) -> None:
    wanted: dict[str, Any] = {
        "family": "order",
        "frames": 8,
        "seed": 0,
        "path": tmp_path / "a.mp4",
    } | changed
    with pytest.raises(UserError, match=said):
        make_world(**wanted)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["w.txt", "w", "w.json", "w.gif", "w.webm", ".mp4"])
def test_a_file_that_cannot_hold_the_clip_is_one_line(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["world", str(tmp_path / name), "--frames", "8", "--size", "56"]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert f"ends in .mp4, .m4v, .mov, .mkv or .avi, got {name!r}" in told
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", [*SUFFIXES, ".MP4"])
def test_every_kind_of_file_that_is_taken_holds_the_clip(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    make_world("order", 8, 0, path, size=(56, 56), pictures=1)
    with av.open(str(path)) as made:
        assert sum(1 for _ in made.decode(video=0)) == 8
