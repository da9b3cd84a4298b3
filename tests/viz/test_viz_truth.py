"""Every number that the viewer draws or tells equals the trace, whatever the size of the run.

Random traces go through the server's real routes into the viewer's real modules, in Node.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from subprocess import PIPE
from typing import Any

import numpy as np
import pytest
import uvicorn
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from trace_factory import make_trace, nucleus

from adaspark.model.request import Options, Result
from adaspark.trace.trace import Trace
from app.service.results import Finished, Results
from app.service.sessions import Video
from app.web.exports import Exports
from app.web.routes import routes
from viz.data import scene as scenes
from viz.data.layer_detail import layer_detail
from viz.data.statistics import TraceView

SCRIPT = Path(__file__).parents[1] / "js" / "told.mjs"
ROUNDED = 0.5 / 255 + 1e-6
"""Shares that are means of more than 255 decisions travel in 8 bits."""
TOP_P = 0.6
PATIENCE_SECS = 300
pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="needs Node")


class Runs:
    """The routes of finished runs, served."""

    def __init__(self, folder: Path) -> None:
        self.results = Results(2**30)
        no_films: Any = None  # nothing here reads a video
        app = Starlette(routes=routes(self.results, Exports(folder, no_films)))
        # The viewer computes for seconds between two requests of one connection: it is not closed.
        config = uvicorn.Config(app, port=0, log_level="error", timeout_keep_alive=600)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)

    def __enter__(self) -> Runs:
        self._thread.start()
        while not self._server.started:
            self._thread.join(0.01)
            assert self._thread.is_alive()
        port = self._server.servers[0].sockets[0].getsockname()[1]
        self.address = f"http://127.0.0.1:{port}"
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join()

    def add(self, trace: Trace) -> Finished:
        config = trace.meta.config
        assert config
        result = Result(trace.meta.answer or "", trace, {})
        return self.results.add(Video(Path("clip.mp4"), "clip.mp4"), "", result, Options(config))

    def told(self, trace: Trace, top_p: float = TOP_P) -> Any:
        """What the viewer's modules draw and tell of a trace."""
        address = f"{self.address}/studio/{self.add(trace).key}"
        command = ["node", str(SCRIPT), address, str(top_p)]
        with subprocess.Popen(command, stdout=PIPE, stderr=PIPE, text=True) as node:
            for _ in range(PATIENCE_SECS):  # looks, not a deadline: a machine may stand still
                with suppress(subprocess.TimeoutExpired):
                    out, error = node.communicate(timeout=1)
                    assert node.returncode == 0, error
                    return json.loads(out)
            node.kill()
        raise AssertionError(f"The viewer's modules took more than {PATIENCE_SECS} s.")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    with Runs(tmp_path_factory.mktemp("files")) as served:
        yield served


@st.composite
def traces(draw: Any) -> Trace:
    """Traces of any shape; some of their scenes may carry nothing that could be asked for later."""
    sides = st.tuples(st.integers(1, 5), st.integers(1, 6), st.integers(1, 6))
    return make_trace(
        grids=draw(st.lists(sides, min_size=1, max_size=2)),
        cube=draw(st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 4))),
        layers=draw(st.integers(1, 4)),
        heads=draw(st.sampled_from([1, 2, 3, 7, 28])),
        question=[" w"] * draw(st.integers(1, 11)),
        answer=[" a"] * draw(st.integers(0, 3)),
        tail=["<end>"] * draw(st.integers(0, 2)),
        query_cubes=draw(st.sampled_from([None, 1, 3])),
        attn_top_p=draw(st.sampled_from([0.0, 0.37, 0.9, 1.0])),
        ffn_top_p=draw(st.sampled_from([0.0, 0.5, 1.0])),
        seed=draw(st.integers(0, 99)),
    )


@settings(max_examples=12, deadline=None)
@given(traces(), st.sampled_from([(290_000, 185_000, 60_000), (0, 185_000, 60_000), (0, 0, 0)]))
def test_what_is_drawn_and_told_is_the_trace(
    runs: Runs, trace: Trace, budgets: tuple[int, int, int]
) -> None:
    with limited_scenes(*budgets):
        check(trace, runs.told(trace))


@pytest.mark.long
def test_a_layer_too_large_to_carry_its_heads_is_told_right_too(runs: Runs) -> None:
    trace = make_trace(grids=((16, 16, 16),), cube=(1, 4, 2), layers=2, heads=28, tail=["<end>"])
    assert layer_detail(trace, 0)["word_level"] is None
    with limited_scenes(0, 0, 0):
        found = runs.told(trace, 0.5)
    check(trace, found, 0.5)
    words = [drawn for drawn in found["previewed"] if drawn["query"].get("kind") != "video"]
    assert all(row is not None for drawn in words for row in drawn["rows"])


@contextmanager
def limited_scenes(most_bytes: int, kept: int, ffn: int) -> Iterator[None]:
    """Scenes of so many bytes; what they leave out the viewer asks for."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scenes, "KEPT_BYTES", kept)
        patch.setattr(scenes, "FFN_BYTES", ffn)
        patch.setitem(scenes.scene.__kwdefaults__, "most_bytes", most_bytes)
        yield


def check(trace: Trace, found: Any, top_p: float = TOP_P) -> None:
    """Compare every number with the arrays of the trace."""
    view, mask, words = TraceView(trace), trace.word_mask(), found["words"]
    for drawn in found["recorded"]:
        expected = share_of(trace, mask, words, drawn["query"])
        assert np.abs(np.array(drawn["rows"]) - expected).max(initial=0) <= ROUNDED, drawn["query"]
        assert np.abs(np.array(drawn["lanes"]) - view.by_slice(expected)).max() <= ROUNDED
        assert drawn["tip"].endswith(f": {int(100 * drawn['lanes'][-1][-1] + 0.5)} %")
    for cube, users in enumerate(found["users"]):
        for word, by_layer in enumerate(users):
            row = rows_of(words, {"word": word})[0]
            assert by_layer == [np.flatnonzero(kept[row, :, cube]).tolist() for kept in mask]
    assert np.array_equal(np.array(found["ffn"]["rows"], bool), trace.ffn_mask())
    slices = np.array(found["ffn"]["lanes"])
    assert np.abs(slices - view.ffn_kept_by_slice).max() <= 1 / 255 + 1e-6
    chosen = nucleus(trace.word_probs.astype(np.float64), top_p)
    for drawn in found["previewed"]:
        if drawn["query"].get("kind") == "video":
            assert drawn["rows"] == [None] * len(mask)
            continue
        expected = share_of(trace, chosen, words, drawn["query"])
        assert np.abs(np.array(drawn["rows"]) - expected).max(initial=0) <= ROUNDED


def rows_of(words: list[Any], query: dict[str, Any]) -> list[int]:
    """The rows of the trace that a query is the mean of."""
    if "word" not in query:
        mine = [at for at, word in enumerate(words) if word["kind"] == query["kind"]]
        return [row for at in mine for row in rows_of(words, {"word": at})]
    word = words[query["word"]]
    is_own = word["kind"] == "question" or query.get("said")
    return [word["index"] if is_own else word["index"] - 1]


def share_of(trace: Trace, mask: np.ndarray, words: list[Any], query: dict[str, Any]) -> np.ndarray:
    """float [L, C]: the mean of a query's decisions."""
    if query.get("kind") == "video":
        return TraceView(trace).video_kept
    if "cube" in query:
        return trace.kept_share[:, trace.query_cubes.tolist().index(query["cube"])] / 255
    heads = slice(None) if query["head"] is None else [query["head"]]
    return mask[:, rows_of(words, query)][:, :, heads].astype(float).mean((1, 2))
