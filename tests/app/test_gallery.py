"""Recorded runs: the committed ones fit their clips and the bundled model."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from clips import write_clip
from fake_engine import WORDS, FakeEngine, loading

from adaspark.model.trained import BUNDLED_FRAMES
from adaspark.trace.trace import Trace
from adaspark.video.clip import content_hash
from app.media import light_traces, record_runs
from app.media.opened_traces import open_trace
from app.media.record_runs import WEIGHTS, record
from app.media.recorded_runs import read_gallery, recorded_estimate, trace_path
from app.media.samples import Sample, read_samples, real_footage
from app.service.deferred_engine import default_config
from app.service.permalinks import Permalink
from app.service.service import Service
from app.service.settings import Settings
from app.web.limits import ServerLimits

COMMITTED = (*read_samples(), *real_footage())
RECORD_ANEW = "record the gallery anew: python -m app.media.record_runs"
DIALS = Settings(0.9, 0.7, 2, 2, 2)
QUESTION = "What color is the circle?"


@pytest.fixture
def sample(tmp_path: Path) -> Sample:
    write_clip(tmp_path / "01_two_shapes.mp4")
    notes = {"items": [{"question": QUESTION}, {"question": "slow one"}]}
    (tmp_path / "01_two_shapes.json").write_text(json.dumps(notes))
    return read_samples(tmp_path)[0]


@pytest.fixture
def replay(sample: Sample, tmp_path: Path) -> Service:
    """A service whose engine has not begun to load."""
    record(FakeEngine(), sample).save(trace_path(sample, tmp_path))
    gallery = read_gallery([sample], tmp_path)
    engine = loading(FakeEngine(), started=False)
    return Service(engine, tmp_path / "proxies", samples=[sample], gallery=gallery)


@pytest.mark.parametrize("sample", COMMITTED, ids=lambda sample: sample.name)
def test_each_committed_run_is_of_its_clip_and_of_the_bundled_model(sample: Sample) -> None:
    path = trace_path(sample)
    trace = Trace.load(path)
    is_long = len(trace.bounds) > light_traces.LONG_CUBES
    assert path.stat().st_size <= (1200 if is_long else 300) * 1024
    assert {"frames": sample.sampling.get("max_frames", trace.meta.clip.frames)} == {
        "frames": trace.meta.clip.frames
    }
    assert bool(trace.meta.warnings) == (trace.meta.clip.frames > BUNDLED_FRAMES)
    assert trace.meta.recorded.clip_sha256 == content_hash(sample.path), RECORD_ANEW
    assert trace.meta.recorded.weights_sha256 == content_hash(WEIGHTS), RECORD_ANEW
    assert trace.meta.question == sample.questions[0]
    assert trace.meta.config == default_config(WEIGHTS.parent)
    assert 0 < trace.attention_density < 1
    notes = sample.path.with_suffix(".json")
    first = json.loads(notes.read_text())["items"][0] if notes.exists() else trace.meta.to_dict()
    assert trace.meta.answer == first["answer"] != ""


def test_a_lightened_run_keeps_what_was_decided_and_scores_to_a_part_in_64(
    sample: Sample, tmp_path: Path
) -> None:
    whole = record(FakeEngine(), sample)
    light_traces.lightened(whole).save(tmp_path / "light.npz")
    light = Trace.load(tmp_path / "light.npz")
    assert np.array_equal(light.word_kept, whole.word_kept)
    assert np.array_equal(light.ffn_kept, whole.ffn_kept)
    assert light.meta.sampled_query_cubes and light.attention_density == whole.attention_density
    assert np.array_equal(light.query_cubes, whole.query_cubes[::3])
    assert np.array_equal(light.kept_share, whole.kept_share[:, ::3])
    scores = whole.word_probs.astype(np.float64)
    apart = np.abs(light.word_probs - scores)
    assert apart.max() > 0 and np.all(apart <= np.maximum(scores / 64, 1e-6))


def test_of_a_long_run_choices_stay_exact_and_unlikely_scores_are_coarse(
    sample: Sample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = record(FakeEngine(), sample)
    rng = np.random.default_rng(0)
    shape = whole.word_probs.shape
    scores = rng.exponential(size=shape) ** 4
    whole.word_probs = (scores / scores.sum(-1, keepdims=True)).astype(np.float16)
    most, queries = 3, 2
    assert shape[-1] > most and len(whole.query_cubes) > queries
    for name, value in (("LONG_CUBES", 1), ("LONG_SCORES", most), ("LONG_QUERIES", queries)):
        monkeypatch.setattr(light_traces, name, value)
    light_traces.lightened(whole).save(tmp_path / "light.npz")
    light_traces.pack(tmp_path / "light.npz")
    light = open_trace(tmp_path / "light.npz", "light.npz")
    assert len(light.query_cubes) <= queries and light.attention_density == whole.attention_density
    assert np.array_equal(light.word_kept, whole.word_kept)
    assert np.array_equal(light.ffn_kept, whole.ffn_kept)
    exact, found = whole.word_probs.astype(np.float64), light.word_probs.astype(np.float64)
    likely = exact > -np.partition(-exact, most, axis=-1)[..., most, None]
    assert np.all(np.abs(found - exact)[likely] <= np.maximum(exact / 64, 1e-6)[likely])
    known = ~likely & (exact > 1e-5)
    assert np.all((found < 4 * exact)[known] & (found > exact / 4)[known])
    np.testing.assert_allclose(found.sum(-1), exact.sum(-1), atol=0.02)
    for name in light_traces.FIGURES:
        given = getattr(whole, name).astype(float)
        np.testing.assert_allclose(getattr(light, name).astype(float), given, rtol=1 / 64)


def test_a_clip_that_has_its_own_sampling_is_shown_by_it(sample: Sample, tmp_path: Path) -> None:
    """A long clip is shown in full, in its run, in its card and in what is asked of it, unless the
    visitor asks for something else."""
    notes = sample.path.with_suffix(".json")
    content = json.loads(notes.read_text())
    notes.write_text(json.dumps({**content, "sampling": {"max_frames": 4}}))
    (own,) = read_samples(sample.path.parent)
    record(FakeEngine(), own).save(trace_path(own, tmp_path))
    gallery, engine = read_gallery([own], tmp_path), FakeEngine()
    assert gallery[own.name].trace.meta.clip.frames == 4
    service = Service(loading(engine), tmp_path / "proxies", samples=[own], gallery=gallery)
    card = service.openings.choose_sample("a", own.name, DIALS)
    assert "4 frames" in card["facts"] and not card["unanswered"]
    list(service.ask("a", QUESTION, DIALS))
    list(service.retune("a", DIALS))
    list(service.ask("a", QUESTION, replace(DIALS, max_frames=2)))
    assert [options.max_frames for _, _, options in engine.asked][-3:] == [4, 4, 2]
    kept = service.results.get(card["recorded"]["key"])
    assert kept is not None and kept.options.max_frames == 4


def test_every_clip_of_the_page_has_a_recorded_run() -> None:
    assert read_gallery(COMMITTED).keys() == {sample.name for sample in COMMITTED}
    assert any(sample.note for sample in COMMITTED), "the installed gradio has no real footage"


def test_a_run_of_another_clip_is_left_out(
    sample: Sample, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    record(FakeEngine(), sample).save(trace_path(sample, tmp_path))
    assert read_gallery([sample], tmp_path).keys() == {sample.name}
    write_clip(sample.path, frames=8)
    with caplog.at_level(logging.WARNING):
        assert read_gallery([sample], tmp_path) == {}
    assert "another clip" in caplog.text


@pytest.mark.parametrize("content", [None, b"", b"not a trace"])
def test_a_run_that_cannot_be_read_is_left_out(
    sample: Sample, tmp_path: Path, content: bytes | None
) -> None:
    if content is not None:
        trace_path(sample, tmp_path).write_bytes(content)
    assert read_gallery([sample], tmp_path) == {}


def test_what_a_recorded_run_says_of_its_clip_is_what_the_engine_would_say(sample: Sample) -> None:
    engine = FakeEngine()
    record(engine, sample).save(trace_path(sample, sample.path.parent))
    found = read_gallery([sample], sample.path.parent)[sample.name]
    recorded, estimated = recorded_estimate(sample, found), engine.estimate(sample.path)
    assert (recorded.info, recorded.grid) == (estimated.info, estimated.grid)


def test_the_command_writes_what_the_page_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sample = COMMITTED[1]
    monkeypatch.setattr(record_runs, "read_samples", lambda: [sample])
    monkeypatch.setattr(record_runs, "real_footage", list)
    assert record_runs.main(["--out", str(tmp_path)]) == 0
    made, kept = Trace.load(trace_path(sample, tmp_path)), Trace.load(trace_path(sample))
    assert sample.questions[0] in capsys.readouterr().out
    assert made.meta.recorded == kept.meta.recorded, RECORD_ANEW
    assert np.array_equal(made.cube_from_token, kept.cube_from_token)


def test_a_page_opens_on_the_recorded_run_before_there_is_a_model(replay: Service) -> None:
    values = (0.9, 0.7, 2, 2, 2, 0, 0, 32)
    card = replay.openings.greet("a", Permalink(None, None, values))
    assert replay.engine.state == "waiting"
    assert card["question"] == QUESTION and not card["unanswered"]
    assert "visual tokens" in card["facts"]
    recorded = card["recorded"]
    assert recorded["recorded"] and recorded["answer"] == "".join(WORDS)
    assert replay.results.get(recorded["key"])


def test_a_dial_runs_the_recorded_question_again(replay: Service) -> None:
    replay.openings.choose_sample("a", "01_two_shapes", DIALS)
    replay.engine.start()
    done = list(replay.retune("a", Settings(0.3, 0.7, 2, 2, 2)))[-1]
    assert done["question"] == QUESTION and not done["recorded"]
    assert done["summary"]["config"]["attn_top_p"] == 0.3


@pytest.mark.parametrize(
    ("settings", "unanswered"),
    [
        (DIALS, False),
        (Settings(0.8, 0.7, 2, 2, 2), True),
        (Settings(0.9, 0.7, 4, 2, 2), True),
    ],
)
def test_other_settings_than_the_recorded_ones_are_still_to_run(
    replay: Service, settings: Settings, unanswered: bool
) -> None:
    assert replay.openings.choose_sample("a", "01_two_shapes", settings)["unanswered"] is unanswered


def test_other_sampling_than_the_recorded_waits_for_the_model(replay: Service) -> None:
    replay.engine.start()
    settings = Settings(0.9, 0.7, 2, 2, 2, max_frames=4)
    card = replay.openings.choose_sample("a", "01_two_shapes", settings)
    assert card["unanswered"] and "4 frames" in card["facts"]


def test_a_links_question_is_still_to_be_answered(replay: Service) -> None:
    values = (0.9, 0.7, 2, 2, 2, 0, 0, 32)
    card = replay.openings.greet("a", Permalink("01_two_shapes", "slow one", values, is_given=True))
    assert card["question"] == "slow one" and card["unanswered"]
    replay.engine.start()
    assert list(replay.retune("a", Settings(*values)))[-1]["question"] == "slow one"


def test_recorded_runs_stay_whatever_else_is_made(sample: Sample, tmp_path: Path) -> None:
    record(FakeEngine(), sample).save(trace_path(sample, tmp_path))
    service = Service(
        loading(FakeEngine()),
        tmp_path / "proxies",
        samples=[sample],
        gallery=read_gallery([sample], tmp_path),
        limits=ServerLimits(kept_results_mb=0),
    )
    key = service.openings.choose_sample("a", sample.name, DIALS)["recorded"]["key"]
    for _ in range(2):
        list(service.ask("a", QUESTION, DIALS))
    assert service.results.get(key)
