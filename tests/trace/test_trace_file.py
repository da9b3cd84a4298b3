"""The file of a trace: whole, of another version, or none at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from recorded import Spy, assert_same

from adaspark.errors import UserError
from adaspark.trace.trace import Trace


def test_a_trace_survives_its_file(run: tuple[Trace, Spy, list[int]], tmp_path: Path) -> None:
    trace, _, _ = run
    trace.save(tmp_path / "run.npz")
    loaded = Trace.load(tmp_path / "run.npz")
    assert_same(loaded, trace)
    assert loaded.attention_density == trace.attention_density
    assert [path.name for path in tmp_path.iterdir()] == ["run.npz"]


def test_an_empty_trace_survives_its_file(tmp_path: Path) -> None:
    Trace().save(tmp_path / "empty.npz")
    assert_same(Trace.load(tmp_path / "empty.npz"), Trace())


@pytest.mark.parametrize("version", [0, 2, "next", None])
def test_an_unknown_schema_is_refused_by_name(tmp_path: Path, version: Any) -> None:
    path = tmp_path / "old.npz"
    np.savez(path, meta=np.array(json.dumps({"schema_version": version})))
    with pytest.raises(UserError, match=rf"trace schema {version!r}, this version reads 1"):
        Trace.load(path)


BAD_FILES = {
    "empty": b"",
    "text": b"words, and no archive",
    "cut": b"PK\x03\x04" + bytes(40),
    "a folder of nothing": b"PK\x05\x06" + bytes(18),
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_a_file_that_is_no_trace_is_refused_in_one_sentence(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "bad.npz"
    path.write_bytes(BAD_FILES[kind])
    with pytest.raises(UserError, match=r"bad\.npz is not a trace of AdaSpark"):
        Trace.load(path)


def test_other_numpy_files_and_missing_files_are_refused_too(tmp_path: Path) -> None:
    np.save(tmp_path / "array.npy", np.zeros(3))
    np.savez(tmp_path / "other.npz", values=np.zeros(3))
    np.savez(tmp_path / "odd.npz", meta=np.array("[1, 2]"))
    for name in ("array.npy", "other.npz", "odd.npz", "missing.npz"):
        with pytest.raises(UserError, match="is not a trace of AdaSpark"):
            Trace.load(tmp_path / name)


def test_a_damaged_trace_is_refused(run: tuple[Trace, Spy, list[int]], tmp_path: Path) -> None:
    path = tmp_path / "run.npz"
    run[0].save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="is not a trace"):
        Trace.load(path)
    middle = len(whole) // 2
    path.write_bytes(whole[:middle] + bytes(200) + whole[middle + 200 :])
    with pytest.raises(UserError, match="is not a trace"):
        Trace.load(path)
