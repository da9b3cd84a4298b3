"""The app's small parts: limits, deferred engine, time estimates, permalinks, budgets."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from fake_engine import FakeEngine
from hypothesis import given
from hypothesis import strategies as st
from paths import ASSETS, ROOT

from adaspark.errors import UserError
from adaspark.method.config import AdaSparkConfig
from adaspark.method.rules import IMPORTANCES
from adaspark.model.events import Phase
from adaspark.model.request import Options
from app.page.calibration import read_calibration
from app.page.controls import IMPORTANCE_NAMES
from app.service.deferred_engine import NO_MODEL, DeferredEngine, default_config
from app.service.permalinks import SETTINGS, read_permalink
from app.service.sessions import BRIEF_WORDS, Asked, Video
from app.web.limits import SWITCHES, ServerLimits, limits_from

VALUES = (0.9, 0.7, 2, 2, 2, 0, 0, 32, 0, 0, 0.9, "residual")
CONFIG = AdaSparkConfig(cube=(2, 2, 2))


def test_every_limit_has_its_switch() -> None:
    assert set(SWITCHES.values()) == set(ServerLimits.__dataclass_fields__)


def test_limits_are_read_from_the_environment() -> None:
    given = {
        "ADASPARK_MAX_UPLOAD_MB": "20",
        "ADASPARK_MAX_VIDEO_TOKENS": "0",
        "ADASPARK_REPLAY_ONLY": "1",
        "ADASPARK_CACHE_DIR": "/data",
        "ADASPARK_MAX_WAITING": "",
        "HOME": "/root",
    }
    limits = limits_from(given)
    assert (limits.upload_mb, limits.replay_only, limits.cache_folder) == (20, True, Path("/data"))
    assert limits.waiting_runs == ServerLimits().waiting_runs
    assert limits_from({}) == ServerLimits()


@pytest.mark.parametrize("name", [n for n in SWITCHES if n != "ADASPARK_CACHE_DIR"])
@pytest.mark.parametrize("text", ["-1", "many", "1.5", "\uff12"])
def test_a_switch_that_cannot_be_used_is_named(name: str, text: str) -> None:
    with pytest.raises(UserError, match=name):
        limits_from({name: text})


def fake(load: Any) -> DeferredEngine:
    return DeferredEngine(load, name="fake", is_bundled=True, default_config=CONFIG)


def test_what_is_asked_of_a_loading_model_waits_for_it(tmp_path: Path) -> None:
    go = threading.Event()
    engine = FakeEngine()
    face = fake(lambda: go.wait(30) and engine)
    assert face.state == "waiting"
    face.start()
    assert face.facts() == {"model": "fake", "state": "loading"}
    events = face.ask(tmp_path, "refuse", Options(CONFIG), stop=threading.Event())
    assert next(events) == Phase("loading", 0, 0)
    go.set()
    with pytest.raises(UserError, match="refused"):
        list(events)
    assert face.facts()["backend"] == "none" and face.state == "ready"


def test_a_run_that_waits_for_the_model_can_be_stopped(tmp_path: Path) -> None:
    go, stop = threading.Event(), threading.Event()
    face = fake(lambda: go.wait(30))
    face.start()
    events = face.ask(tmp_path, "?", Options(CONFIG), stop=stop)
    next(events)
    stop.set()
    assert list(events) == []
    go.set()
    face.join()


def test_what_loading_raised_is_raised_to_whoever_asks(tmp_path: Path) -> None:
    def load() -> None:
        raise UserError("No such model.")

    called: list[bool] = []
    face = fake(load)
    face.start(then=lambda: called.append(True))
    face.join()
    assert face.state == "failed" and face.facts()["state"] == "failed" and not called
    with pytest.raises(UserError, match="No such model"):
        list(face.ask(tmp_path, "?", Options(CONFIG), stop=threading.Event()))


def test_a_server_that_only_replays_says_so(tmp_path: Path) -> None:
    face = fake(None)
    face.start()
    face.join()
    assert face.state == "replay"
    with pytest.raises(UserError) as told:
        list(face.ask(tmp_path, "?", Options(CONFIG), stop=threading.Event()))
    assert str(told.value) == NO_MODEL


def test_a_models_own_configuration_is_known_before_it_is_loaded(tmp_path: Path) -> None:
    assert default_config(tmp_path) == AdaSparkConfig()
    values = {"cube": [1, 2, 3], "attn_top_p": 0.5, "ffn_top_p": 0.5, "sparse": {"ffn_top_p": 0.2}}
    (tmp_path / "adaspark.json").write_text(json.dumps(values))
    assert default_config(tmp_path) == AdaSparkConfig((1, 2, 3), 0.5, 0.5)
    assert default_config(tmp_path, sparse=True).ffn_top_p == 0.2
    (tmp_path / "adaspark.json").write_text("{")
    with pytest.raises(UserError, match="is not JSON"):
        default_config(tmp_path)


PAGE = """
import json
from fake_engine import FakeEngine, loading
from adaspark.method.config import AdaSparkConfig
from app.web.server import Studio

engine = FakeEngine()
engine.default_config = AdaSparkConfig((2, 2, 2), (0.9, 0.7, 0.3), 0.123, ffn_importance="input")
with Studio(loading(engine, started=False), []) as studio:
    page = studio._page
    parts = [part["props"] for part in page.get_config_file()["components"]]
    labels = ("Top-p", "FFN")
    found = {part["label"]: part for part in parts if str(part.get("label")).startswith(labels)}
    for parameter in page.get_api_info()["named_endpoints"]["/ask"]["parameters"]:
        found[parameter["parameter_name"]] = parameter["parameter_default"]
    print(json.dumps(found, default=str))
"""


@pytest.mark.long
def test_a_page_starts_at_the_mean_of_thresholds_by_layer() -> None:
    """In a process of its own: Gradio leaves sockets open."""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
    told = subprocess.check_output([sys.executable, "-c", PAGE], env=environment, text=True)
    found = json.loads(told)
    attn, ffn = found["Top-p attention"], found["Top-p FFN"]
    assert attn["value"] == found["attn_top_p"] == 0.63
    assert ffn["value"] == found["ffn_top_p"] == 0.123
    assert "the model's own differ by layer" in attn["info"] and "differ" not in ffn["info"]
    assert found["Top-p of the question"]["value"] == 0.63 and found["text_top_p"] is None
    assert found["FFN importance"]["value"] == found["ffn_importance"] == "input"


CLIP = ASSETS / "samples" / "2_order.mp4"


@pytest.mark.parametrize(
    ("said", "most"), [(None, 100), (0, BRIEF_WORDS), (3, BRIEF_WORDS), (40, 40), (400, 100)]
)
def test_a_moved_dial_writes_no_more_words_than_are_in_view(said: int | None, most: int) -> None:
    asked = Asked(Video(CLIP, "clip"), "?", said)
    assert asked.briefly(Options(CONFIG, max_new_tokens=100)).max_new_tokens == most


@given(
    st.tuples(
        *(st.integers(0, 100).map(lambda p: p / 100),) * 2,
        *(st.integers(1, 64),) * 3,
        st.sampled_from([0.0, 0.5, 4.0]),
        st.integers(0, 100),
        st.integers(1, 512),
        *(st.integers(0, 10**6),) * 2,
        st.integers(0, 100).map(lambda p: p / 100),
        st.sampled_from(IMPORTANCES),
    )
)
def test_settings_survive_their_permalink(values: tuple[float | str, ...]) -> None:
    query = dict(zip(SETTINGS, map(str, values), strict=True)) | {"sample": "one", "q": " why? "}
    permalink = read_permalink(query, VALUES, {"one"})
    assert permalink.values == values and permalink.is_given
    assert (permalink.sample, permalink.question) == ("one", "why?")


def test_a_link_with_one_p_for_all_attention_means_text_too() -> None:
    shared = read_permalink({"attn": "0.4"}, VALUES, ())
    assert (shared.settings.attn_top_p, shared.settings.text_top_p) == (0.4, 0.4)
    assert shared.settings.options().config.text_top_p is None
    own = read_permalink({"attn": "0.4"}, (*VALUES[:-2], 1.0, "residual"), ())
    assert (own.settings.attn_top_p, own.settings.text_top_p) == (0.4, 1.0)
    both = read_permalink({"attn": "0.4", "text": "0.8"}, VALUES, ())
    assert both.settings.options().config.text_top_p == 0.8


def test_a_link_says_how_importance_is_measured() -> None:
    linked = read_permalink({"importance": "input"}, VALUES, ())
    assert linked.is_given and linked.settings.options().config.ffn_importance == "input"
    own = read_permalink({}, (*VALUES[:-1], "input"), ())
    assert own.settings.options().config.ffn_importance == "input"


def test_every_way_to_measure_importance_has_a_name_on_the_page() -> None:
    assert tuple(IMPORTANCE_NAMES) == IMPORTANCES


def test_a_page_without_a_link_opens_as_it_is() -> None:
    permalink = read_permalink({"__theme": "dark", "unknown": "1"}, VALUES, ())
    assert permalink.values == VALUES and not permalink.is_given


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"attn": "much"}, "not numbers"),
        ({"attn": "1.5"}, "Top-p attention must be"),
        ({"ffn": "nan"}, "Top-p FFN must be"),
        ({"text": "-1"}, "Top-p of the question must be"),
        ({"importance": "norm"}, "ffn_importance must be one of residual, input, got 'norm'"),
        ({"importance": ""}, "ffn_importance must be one of residual, input, got ''"),
        ({"cube_t": "0"}, "A cube is three whole numbers"),
        ({"words": "0"}, "Words at most"),
        ({"q": "  "}, "question is blank"),
        ({"sample": "../../etc/passwd"}, "is not here"),
    ],
)
def test_a_link_that_cannot_be_followed_is_refused(query: dict[str, str], words: str) -> None:
    with pytest.raises(UserError, match=words):
        read_permalink(query, VALUES, {"one"})


def points(*budgets: float) -> list[dict[str, float]]:
    return [{"budget": b, "attn_top_p": b, "ffn_top_p": b} for b in budgets]


def test_a_calibration_is_sorted_of_distinct_budgets_and_ends_dense(tmp_path: Path) -> None:
    measured = [{**point, "reduction": 0.1} for point in points(0.9, 0.3, 0.3, 0.6)]
    told = {"points": measured, "cube": [1, 2, 3]}
    (tmp_path / "calibration.json").write_text(json.dumps(told))
    found = read_calibration(tmp_path)
    assert found is not None and found.cube == (1, 2, 3)
    assert list(found.points) == points(0.3, 0.6, 0.9, 1)


def test_a_point_of_a_calibration_may_have_a_threshold_for_text(tmp_path: Path) -> None:
    own = {**points(0.3)[0], "text_top_p": 1.0}
    told = {"points": [own, {**points(0.6)[0], "text_top_p": None}], "cube": [2, 2, 2]}
    (tmp_path / "calibration.json").write_text(json.dumps(told))
    found = read_calibration(tmp_path)
    assert found is not None and list(found.points) == [own, *points(0.6, 1)]


@pytest.mark.parametrize(
    "text",
    ["", "[]", '{"points": [{}]}', '{"points": 3}', '{"points": [], "cube": [2, 2, 2]}']
    + [json.dumps({"points": points(b), "cube": [2, 2, 2]}) for b in (2, -1, 1)]
    + [json.dumps({"points": points(0.5)})],
)
def test_a_calibration_that_cannot_be_used_is_left_out(tmp_path: Path, text: str) -> None:
    assert read_calibration(tmp_path) is None
    (tmp_path / "calibration.json").write_text(text)
    assert read_calibration(tmp_path) is None
