"""A trace that somebody dropped on the page is believed only as far as it holds together."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_engine import FakeEngine, loading
from trace_factory import make_trace

from adaspark.assets import TRACES
from adaspark.errors import UserError
from adaspark.trace.trace import Trace
from app.media.opened_traces import open_trace
from app.media.recorded_runs import read_runs
from app.service.service import Service


def saved(path: Path, **changes: Any) -> Path:
    trace = make_trace(grids=((4, 4, 4),), cube=(2, 2, 2), layers=2, heads=2)
    for name, value in changes.items():
        setattr(trace, name, value(getattr(trace, name)))
    trace.save(path)
    return path


@pytest.mark.parametrize("path", sorted(TRACES.glob("*.npz")), ids=lambda path: path.stem)
def test_the_recorded_runs_open(path: Path) -> None:
    assert open_trace(path, path.name).meta.question


def test_what_was_saved_opens_the_same(tmp_path: Path) -> None:
    path = saved(tmp_path / "run.npz")
    assert np.array_equal(open_trace(path, "run.npz").word_kept, Trace.load(path).word_kept)


def listed(path: Path, most: int = 3) -> Path:
    """As a recorder writes a long run: of each word and head the likeliest cubes alone."""
    trace = make_trace(grids=((4, 4, 4),), cube=(2, 2, 2), layers=2, heads=2)
    likeliest = np.argsort(-trace.word_probs, axis=-1)[..., :most]
    kept = trace.word_mask()
    trace.word_heads = kept.sum(2, dtype=np.uint8)
    trace.word_kept = np.packbits(np.take_along_axis(kept, likeliest, -1), axis=-1)
    trace.word_probs = np.take_along_axis(trace.word_probs, likeliest, -1)
    trace.word_cubes = likeliest.astype(np.int32)
    trace.save(path)
    return path


def test_a_long_run_that_lists_some_cubes_opens_the_same(tmp_path: Path) -> None:
    path = listed(tmp_path / "run.npz")
    opened, trace = open_trace(path, "run.npz"), Trace.load(path)
    assert opened.word_probs.shape[-1] == 3 < len(opened.bounds)
    assert np.array_equal(opened.word_mask(), trace.word_mask()) and trace.word_mask().any()
    for name, change in (
        ("word_cubes", trace.word_cubes + 100),
        ("word_kept", trace.word_kept.repeat(2, axis=-1)),
    ):
        broken = Trace.load(path)
        setattr(broken, name, change)
        broken.save(tmp_path / "broken.npz")
        with pytest.raises(UserError, match="not a trace"):
            open_trace(tmp_path / "broken.npz", "broken.npz")
    nameless = Trace.load(path)
    nameless.word_cubes = np.zeros((0, 0, 0, 0), np.int32)
    nameless.save(tmp_path / "nameless.npz")
    with pytest.raises(UserError, match="not which"):
        open_trace(tmp_path / "nameless.npz", "nameless.npz")


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("cube_from_token", lambda a: a + 1000),
        ("cube_from_token", lambda a: a[:-1]),
        ("query_cubes", lambda a: a - 1000),
        ("bounds", lambda a: a * 50),
        ("bounds", lambda a: a - 1),
        ("frame_times", lambda a: a[:-1]),
        ("kept_share", lambda a: a.astype(np.float64)),
        ("kept_share", lambda a: a[:, :, :-1]),
        ("word_kept", lambda a: a[..., :0].repeat(2, axis=0)),
        ("word_probs", lambda a: a[:, :-1]),
        ("ffn_kept", lambda a: a[:, :1]),
        ("computed_pairs", lambda a: a[:-1]),
    ],
)
def test_arrays_that_do_not_fit_each_other_are_refused(
    tmp_path: Path, name: str, change: Any
) -> None:
    path = saved(tmp_path / "run.npz", **{name: change})
    with pytest.raises(UserError, match=r"run\.npz") as refusal:
        open_trace(path, "run.npz")
    assert str(tmp_path) not in str(refusal.value) and "\n" not in str(refusal.value)


def test_nothing_in_a_file_is_executed(tmp_path: Path) -> None:
    marker = tmp_path / "executed"

    class Harm:
        def __reduce__(self) -> Any:
            return (Path.touch, (marker,))

    path = tmp_path / "run.npz"
    np.savez(path, meta=np.array([Harm()], dtype=object))
    with pytest.raises(UserError, match="not a trace"):
        open_trace(path, "run.npz")
    path.write_bytes(pickle.dumps(Harm()))
    with pytest.raises(UserError, match="not a trace"):
        open_trace(path, "run.npz")
    assert not marker.exists()


def test_an_array_that_claims_to_be_larger_than_the_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.npz"
    header = {"descr": "<f8", "fortran_order": False, "shape": (10**12,)}
    with zipfile.ZipFile(path, "w") as file, file.open("kept_share.npy", "w") as member:
        np.lib.format.write_array_header_1_0(member, header)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="not a trace"):
        open_trace(path, "run.npz")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"text", b"\x00" * 4096])
def test_a_file_of_another_kind_is_refused_in_words(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "run.npz"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"run\.npz is not a trace"):
        open_trace(path, "run.npz")


def test_an_opened_trace_is_a_run_without_a_video(tmp_path: Path) -> None:
    service = Service(loading(FakeEngine()), tmp_path / "copies")
    path = sorted(TRACES.glob("*.npz"))[0]
    message = service.openings.open_trace("a", path, "needle.npz")
    finished = service.results.get(message["key"])
    assert message["recorded"] and message["url"] == "" and finished
    assert '"url": null' in finished.scene_json
    assert service.sessions.get("a").video is None


def test_a_folder_of_runs_becomes_cards(tmp_path: Path) -> None:
    source = sorted(TRACES.glob("*.npz"))[0]
    (tmp_path / "mine.npz").write_bytes(source.read_bytes())
    (tmp_path / "alone.npz").write_bytes(source.read_bytes())
    (tmp_path / "broken.npz").write_text("no")
    for name in ("mine", "broken"):
        (tmp_path / f"{name}.mp4").write_bytes(b"")
    samples, runs = read_runs(tmp_path)
    assert [sample.title for sample in samples] == ["mine"] and list(runs) == [samples[0].name]
    assert samples[0].questions == (Trace.load(source).meta.question,)
