"""`adaspark gallery`: a static site that works from any folder, without a server of ours."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from adaspark.assets import RESULTS, SAMPLES, TRACES
from adaspark.cli import main


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site") / "new"
    assert main(["gallery", "--out", str(out)]) == 0
    return out


def test_every_link_and_picture_is_there_and_nothing_is_fetched_from_elsewhere(site: Path) -> None:
    page = (site / "index.html").read_text("utf-8")
    targets = re.findall(r'(?:href|src)="([^"]+)"', page)
    assert targets and all((site / target).is_file() for target in targets)
    assert not re.search(r"https?://", page)
    runs = [target for target in targets if target.startswith("runs/") and target.endswith("html")]
    assert len(runs) == len(list(SAMPLES.glob("*.mp4")))
    results = [target for target in targets if target.startswith("results/")]
    assert len(results) == len(list(RESULTS.glob("*/results.json")))
    for target in results:
        written = (site / target).read_text("utf-8")
        pictures = list((RESULTS / Path(target).stem).glob("*.png"))
        assert "How to run it again" in written
        assert written.count("data:image/png;base64,") == len(pictures)


def test_a_card_says_what_was_asked_and_shows_the_object(site: Path) -> None:
    page = (site / "index.html").read_text("utf-8")
    assert "What color is the star?" in page and ">yellow<" in page
    picture = Image.open(site / "runs" / "1_needle.jpg").convert("RGB")
    red, green, blue = np.moveaxis(np.asarray(picture).astype(int), -1, 0)
    assert ((red > 180) & (green > 150) & (blue < 90)).sum() > 500


def test_own_runs_make_a_site_without_our_results(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    shutil.copyfile(TRACES / "2_order.npz", own / "<b>.npz")
    shutil.copyfile(SAMPLES / "2_order.mp4", own / "<b>.mp4")
    out = tmp_path / "out"
    assert main(["gallery", "--out", str(out), "--traces", str(own), "--clips", str(own)]) == 0
    page = (out / "index.html").read_text("utf-8")
    assert "&lt;b&gt;" in page and "<b>" not in page and "Measured results" not in page


def test_a_folder_without_runs_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["gallery", "--out", str(tmp_path / "out"), "--traces", str(tmp_path)]) == 2
    assert "have no NAME.npz with a NAME.mp4" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
