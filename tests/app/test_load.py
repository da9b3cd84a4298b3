"""`tests/load.py`, in short: a few visitors for seconds, of a server without a model."""

from __future__ import annotations

from pathlib import Path

import pytest
from browser.serving import served
from load import Memory, ask_again, figures, left_in, load, metric
from paths import ROOT
from waiting import until

from app.media.samples import read_samples

FAKE_APP = ROOT / "tests" / "browser" / "fake_app.py"


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # of connections that visitors cut
def test_visitors_at_once_see_what_is_theirs_and_leave_nothing(tmp_path: Path) -> None:
    cache, folder = tmp_path / "cache", tmp_path / "samples"
    folder.mkdir()
    switches = {"ADASPARK_CACHE_DIR": str(cache), "ADASPARK_LEFT_SECONDS": "1"}
    with served(str(FAKE_APP), str(folder), "0", **switches) as url:
        samples, memory = read_samples(folder), Memory(url)
        with memory.watched():
            found = load(url, samples, visitors=6, secs=5, pause_secs=0.2)
        ask_again(url, found, 10)
        assert found.wrong == []
        assert found.acts.total() > 20 and found.secs["ask"] and found.secs["upload"]
        assert until(lambda: left_in(cache) == [])
        assert metric(url, "adaspark_runs_waiting") == 0
        assert figures(found, memory)["wrong"] == []
    assert list(cache.iterdir()) == []
