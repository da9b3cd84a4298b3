"""What Python sends the page has the keys that `viz/static/types.d.ts` states, and no others."""

from __future__ import annotations

import json
import threading
from typing import Any, get_args

import pytest
from clips import write_clip
from fake_engine import FakeEngine, loading
from page_types import has_keys_of, stated
from trace_factory import make_trace

from adaspark.model.events import Result
from adaspark.model.request import Options
from app.media.record_runs import record
from app.media.samples import read_samples
from app.service import messages
from app.service.ablate import ablate
from app.service.results import Finished, Results
from app.service.service import Service
from app.service.sessions import Video
from app.service.settings import Settings
from viz.data.layer_detail import layer_detail
from viz.data.scene import scene

DIALS = Settings(0.9, 0.7, 2, 2, 2)


def check(name: str, value: dict[str, Any]) -> None:
    assert has_keys_of(name, value), (name, value.keys() ^ stated(name)[0])


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("samples")
    write_clip(folder / "01_clip.mp4")
    items = [{"family": "needle", "question": "What is it?", "answer": "red"}]
    (folder / "01_clip.json").write_text(json.dumps({"items": items}))
    clips = read_samples(folder)
    trace = record(FakeEngine(), clips[0])
    recorded = Result(trace.meta.answer, trace, trace.meta.seconds)
    gallery = {clips[0].name: recorded}
    built = Service(loading(FakeEngine()), folder / "kept", samples=clips, gallery=gallery)
    yield built
    built.close()


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    clip = write_clip(tmp_path_factory.mktemp("clips") / "clip.mp4")
    engine = FakeEngine()
    options = Options(engine.default_config)
    events = engine.ask(clip, "why?", options, stop=threading.Event())
    result = next(event for event in events if isinstance(event, Result))
    return Results(2**28).add(Video(clip, "My clip (1).mov"), "clip.mp4", result, options)


@pytest.mark.parametrize("most_bytes", [0, 2**20])
def test_a_scene(finished: Finished, most_bytes: int) -> None:
    for trace in (make_trace(layers=2), make_trace(grids=()), finished.result.trace):
        made = scene(trace, most_bytes=most_bytes)
        check("Scene", made)
        check("SceneDensity", made["density"])
        check("SceneEntropy", made["entropy"])
        for table in (made["kept"], made["ffn_kept"]):
            if table is not None:
                check("Packed", table)
        for video in made["videos"]:
            check("SceneVideo", video)
        for word in made["words"]:
            check("Word", word)


@pytest.mark.parametrize("most_bytes", [100, 3_000, 62_000])
def test_a_layer_s_detail(most_bytes: int) -> None:
    made = layer_detail(make_trace(layers=2), 1, most_bytes=most_bytes)
    check("LayerDetail", made)
    for levels in (made["word_level"], made["ffn_level"]):
        if levels is not None:
            check("PackedLevels", levels)


def test_a_finished_run(finished: Finished) -> None:
    message = finished.message()
    check("FinishedMessage", message)
    check("Summary", message["summary"])
    assert message["stem"] == "adaspark-my-clip-1"


def test_a_chosen_video_and_the_states_of_a_run(service: Service) -> None:
    card = service.openings.choose_sample("a", "01_clip", DIALS)
    check("CardMessage", card)
    check("FinishedMessage", card["recorded"])
    check("EngineFacts", service.engine.facts())
    *running, done = service.ask("a", "What is it?", DIALS)
    for message in running:
        assert message.keys() == {"state", "answer", "phase"}
        if message["phase"]:
            check("Phase", message["phase"])
    check("FinishedMessage", done)


def test_a_run_beside(service: Service) -> None:
    service.openings.choose_sample("b", "01_clip", DIALS)
    *_, done = service.ask("b", "What is it?", DIALS)
    *_, beside = ablate(service, "b", done["key"], [0], False)
    needed, optional = stated("BesideMessage")
    run = stated("FinishedMessage")[0]
    assert beside.keys() - run <= needed | optional and {"sides", "before", "after"} <= optional
    for side in beside["sides"]:
        check("RunSide", side)
        for piece in side["answer"]:
            check("Piece", piece)


WITH_EACH_RUN = {"run", "panel"}
WITH_EACH_PICK = {"pick", "chosen", "error", "field"}


@pytest.mark.parametrize(
    ("interface", "kind", "added"),
    [
        ("FinishedMessage", messages.FinishedRun, WITH_EACH_RUN),
        ("CardMessage", messages.Card, WITH_EACH_PICK),
        ("EngineFacts", messages.EngineFacts, set()),
        ("Phase", messages.RunPhase, set()),
        ("Piece", messages.Piece, set()),
        ("RunSide", messages.RunSide, set()),
        ("HeldShare", messages.HeldShare, set()),
        ("Preview", messages.PreviewPlace, set()),
    ],
)
def test_a_type_of_python_is_an_interface_of_the_scripts(
    interface: str, kind: Any, added: set[str]
) -> None:
    assert stated(interface) == (kind.__required_keys__, kind.__optional_keys__ - added)


@pytest.mark.parametrize(
    ("interface", "base", "union"),
    [
        ("RunMessage", "FinishedMessage", messages.RunMessage),
        ("BesideMessage", "FinishedMessage", messages.BesideMessage),
        ("PickMessage", "CardMessage", messages.PickMessage),
    ],
)
def test_what_an_event_may_send_is_what_the_scripts_may_be_sent(
    interface: str, base: str, union: Any
) -> None:
    known = set().union(*stated(interface), *stated(base))
    sent = set().union(*(kind.__annotations__ for kind in get_args(union)))
    assert sent - {"panel"} == known - {"panel"}
