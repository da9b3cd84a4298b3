"""What is taken away of a run: each file, by its address, and nothing by any other."""

from __future__ import annotations

import csv
import io
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from clips import write_clip
from fake_engine import LAYERS, FakeEngine
from starlette.applications import Starlette
from starlette.testclient import TestClient
from waiting import PATIENCE_SECS

from adaspark.errors import UserError
from adaspark.method.config import AdaSparkConfig
from adaspark.model.events import Result
from adaspark.model.request import Options
from adaspark.trace.meta import Pruned
from adaspark.trace.trace import Trace
from app.media.reader.pool import Readers
from app.service.results import Finished, Results
from app.service.run_labels import labels
from app.service.sessions import Video
from app.web import exports as app_exports
from app.web.exports import Exports, download_name
from app.web.films import FilmOrder
from app.web.routes import GONE, routes
from viz.figures.figures import FIGURES, table

NASTY = '<img src=x onerror=alert(1)>${1}`".mp4'


@pytest.fixture
def results() -> Results:
    return Results(2**28)


@pytest.fixture
def exports(tmp_path: Path) -> Iterator[Exports]:
    readers = Readers()
    yield Exports(tmp_path / "exports", readers)
    readers.close()


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_clip(tmp_path / "clip.mp4")


@pytest.fixture
def finished(results: Results, clip: Path) -> Finished:
    return run_of(results, clip)


def run_of(results: Results, clip: Path, **changes: Any) -> Finished:
    engine = FakeEngine()
    options = Options(**{"config": engine.default_config, **changes})
    events = engine.ask(clip, "why?", options, stop=threading.Event())
    result = next(event for event in events if isinstance(event, Result))
    return results.add(Video(clip, NASTY), "clip.mp4", result, options)


@pytest.fixture
def client(results: Results, exports: Exports) -> Iterator[TestClient]:
    with TestClient(Starlette(routes=routes(results, exports))) as made:
        yield made


def got(client: TestClient, finished: Finished, file: str, **query: Any) -> Any:
    answer = client.get(f"/studio/{finished.key}/{file}", params=query)
    assert answer.status_code == 200, answer.text
    return answer


def test_the_trace_comes_back_as_it_was(
    client: TestClient, finished: Finished, tmp_path: Path
) -> None:
    path = tmp_path / "down.npz"
    path.write_bytes(got(client, finished, "trace.npz").content)
    loaded, kept = Trace.load(path), finished.result.trace
    assert np.array_equal(loaded.word_probs, kept.word_probs)
    assert loaded.meta.question == "why?" and loaded.meta.clip.name == NASTY


def test_the_report_is_one_page_with_the_clip_inside(
    client: TestClient, finished: Finished
) -> None:
    page = got(client, finished, "report.html").text
    assert "data:video/mp4;base64," in page and "<img src=x" not in page
    assert "default-src 'none'" in page


def test_the_film_has_every_frame_and_the_selection_in_it(
    client: TestClient, finished: Finished, tmp_path: Path
) -> None:
    def luma(name: str, content: bytes) -> list[float]:
        path = tmp_path / name
        path.write_bytes(content)
        with av.open(str(path)) as opened:
            frames = opened.decode(video=0)
            return [float(frame.to_ndarray(format="gray").mean()) for frame in frames]

    drawn = got(
        client, finished, "overlay.mp4", layer=LAYERS - 1, kind="question", mode="spotlight"
    )
    before, after = luma("a.mp4", finished.video.path.read_bytes()), luma("b.mp4", drawn.content)
    assert len(before) == len(after)
    assert sum(after) < sum(before), "dropped cubes are dimmed"


@pytest.mark.parametrize("compared", ["cubes", "ffn"])
def test_the_film_of_a_difference_has_every_frame_of_the_clip(
    client: TestClient, results: Results, finished: Finished, clip: Path, compared: str
) -> None:
    other = run_of(results, clip, config=AdaSparkConfig((2, 2, 2), 0.3, 0.3))
    asked = {"other": other.key, "layer": 1, "kind": "answer", "compared": compared}
    drawn = got(client, finished, "difference.mp4", **asked)
    path = clip.with_name("drawn.mp4")
    path.write_bytes(drawn.content)
    with av.open(str(clip)) as before, av.open(str(path)) as after:
        times = [[frame.time for frame in opened.decode(video=0)] for opened in (before, after)]
    assert times[0] == pytest.approx(times[1])


def test_runs_with_thresholds_by_layer_are_told_apart_by_their_ranges(
    exports: Exports, results: Results, clip: Path
) -> None:
    one, other = run_of(results, clip), run_of(results, clip)
    for finished, attn in ((one, (0.9, 0.8, 0.35, 1.0)), (other, (0.7, 0.7, 0.7, 0.6))):
        config = AdaSparkConfig((2, 2, 2), attn, 0.5)
        finished.result.trace.meta.config = config
    assert labels(one, other) == (
        "p 0.35 to 1 by layer and 0.5, cubes 2 x 2 x 2",
        "p 0.6 to 0.7 by layer and 0.5, cubes 2 x 2 x 2",
    )
    other.result.trace.meta.config = AdaSparkConfig((2, 2, 2), 0.5, 0.5, ffn_importance="input")
    assert labels(one, other)[1] == "p 0.5 and 0.5 by input, cubes 2 x 2 x 2"
    assert exports.difference(one, other, layer=0, kind="question", compared="cubes").exists()


@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        ({"layer": LAYERS}, 400),
        ({"kind": "prompt"}, 400),
        ({"compared": "words"}, 400),
        ({"other": "guess"}, 400),
        ({"other": None}, 400),
        ({}, 200),
    ],
)
def test_a_difference_that_cannot_be_drawn_is_a_sentence(
    client: TestClient, results: Results, finished: Finished, clip: Path, wrong: Any, status: int
) -> None:
    other = run_of(results, clip, config=AdaSparkConfig((2, 2, 2), 0.3, 0.3))
    asked = {"other": other.key, "layer": 0, "kind": "question", "compared": "cubes", **wrong}
    answer = client.get(f"/studio/{finished.key}/difference.mp4", params=asked)
    assert answer.status_code == status
    assert status == 200 or answer.text.endswith(("to draw.", GONE))


def test_runs_of_other_clips_or_slices_have_no_difference(
    exports: Exports, results: Results, finished: Finished, clip: Path, tmp_path: Path
) -> None:
    fewer = run_of(results, clip, max_frames=4)
    elsewhere = run_of(results, write_clip(tmp_path / "other.mp4"))
    for other in (fewer, elsewhere):
        with pytest.raises(UserError, match="no slices in common"):
            exports.difference(finished, other, layer=0, kind="question", compared="cubes")


@pytest.mark.parametrize(
    "wrong", [{"layer": LAYERS}, {"kind": "prompt"}, {"mode": "difference"}, {"mode": "__class__"}]
)
def test_a_film_of_what_the_run_does_not_have_is_refused(
    exports: Exports, finished: Finished, wrong: dict[str, Any]
) -> None:
    asked: dict[str, Any] = {"layer": 0, "kind": "question", "mode": "heat", **wrong}
    with pytest.raises(UserError, match="to draw"):
        exports.film(finished, FilmOrder(**asked))


def test_pruned_tokens_are_not_drawn_as_though_they_filled_the_picture(
    exports: Exports, finished: Finished
) -> None:
    finished.result.trace.meta.pruned = Pruned((1, 1, 1), [0])
    with pytest.raises(UserError, match="no cubes to draw"):
        exports.film(finished, FilmOrder(0, mode="heat"))
    with pytest.raises(UserError, match="no cubes to draw"):
        exports.report(finished)
    assert exports.trace(finished).exists()


@pytest.mark.parametrize("name", list(FIGURES))
def test_every_figure_has_its_table_in_full(
    client: TestClient, finished: Finished, name: str
) -> None:
    figure = got(client, finished, "figure.json", name=name, layer=1, theme="dark").json()
    rows = got(client, finished, "table.json", name=name, layer=1).json()
    text = got(client, finished, "table.csv", name=name, layer=1).text
    expected = table(name, finished.result.trace, layer=1)
    assert figure["data"] and len(rows) == len(expected)
    assert next(csv.reader(io.StringIO(text))) == list(expected[0])
    assert len(list(csv.DictReader(io.StringIO(text)))) == len(expected)


@pytest.mark.parametrize("layer", [-1, LAYERS, "x", "1e3", "٣"])
def test_a_layer_that_is_none_changes_nothing_or_is_refused(
    client: TestClient, finished: Finished, layer: Any
) -> None:
    got(client, finished, "figure.json", name="ffn_masks", layer=layer)
    answer = client.get(f"/studio/{finished.key}/layer.json", params={"layer": layer})
    assert answer.status_code == (400 if layer == LAYERS else 200)


def test_each_layer_is_fetched_by_itself(client: TestClient, finished: Finished) -> None:
    layers = [got(client, finished, "layer.json", layer=layer).json() for layer in range(LAYERS)]
    assert [layer["layer"] for layer in layers] == list(range(LAYERS))


def test_the_scene_is_what_the_result_holds(client: TestClient, finished: Finished) -> None:
    assert got(client, finished, "scene.json").json() == json.loads(finished.scene_json)


FILES = (
    "scene.json",
    "figure.json",
    "layer.json",
    "table.csv",
    "trace.npz",
    "overlay.mp4",
    "difference.mp4",
)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("key", ["guess", "..", "%2e%2e%2f", "None"])
def test_no_other_key_finds_anything(client: TestClient, name: str, key: str) -> None:
    answer = client.get(f"/studio/{key}/{name}", params={"name": "flops"})
    assert answer.status_code == 404
    assert answer.text in (GONE, "Not Found")


def test_an_unknown_figure_is_a_sentence(client: TestClient, finished: Finished) -> None:
    answer = client.get(f"/studio/{finished.key}/figure.json", params={"name": "__class__"})
    assert answer.status_code == 400
    assert answer.text == "There is no figure named '__class__'."


def test_a_file_is_written_once_and_its_name_says_what_it_is(
    exports: Exports, finished: Finished
) -> None:
    path = exports.trace(finished)
    first = path.stat().st_mtime_ns
    assert exports.trace(finished) == path and path.stat().st_mtime_ns == first
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
    assert download_name(finished, ".npz") == "adaspark-img-src-x-onerror-alert-1-1.npz"


def test_a_report_that_is_there_is_not_drawn_again(
    exports: Exports, finished: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = exports.report(finished)

    def forbidden(*_: Any, **__: Any) -> str:
        raise AssertionError("the file is there")

    monkeypatch.setattr(app_exports, "report", forbidden)
    assert exports.report(finished) == path


def test_two_visitors_may_ask_for_the_same_file_at_once(
    exports: Exports, finished: Finished
) -> None:
    found: list[Path] = []
    threads = [
        threading.Thread(target=lambda: found.append(exports.report(finished))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_SECS)
    assert len(found) == 4 and len(set(found)) == 1 and found[0].stat().st_size > 1000
    assert len(list(found[0].parent.iterdir())) == 1


def test_who_waits_long_for_another_s_film_is_told(
    client: TestClient,
    exports: Exports,
    finished: Finished,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(app_exports, "_PATIENCE_SECS", 0.01)
    with exports._drawing:
        answer = client.get(f"/studio/{finished.key}/overlay.mp4")
    assert (answer.status_code, answer.text) == (400, app_exports.BUSY)
    assert client.get(f"/studio/{finished.key}/overlay.mp4").status_code == 200
