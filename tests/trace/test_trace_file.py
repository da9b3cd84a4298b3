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


SENTENCES = {
    "missing": "there is no such file",
    "empty": "it is no NPZ file",
    "junk": "it is no NPZ file",
    "array": "it is no NPZ file",
    "folder": r"it cannot be read \(Is a directory\)",
    "cut": "it is cut or damaged; copy it or record the run again",
    "lacking": "it is cut or damaged; copy it or record the run again",
    "other": "it has no header; give a file that `adaspark ask --trace` wrote",
    "odd": "it has no header; give a file that `adaspark ask --trace` wrote",
}


@pytest.mark.parametrize("kind", SENTENCES)
def test_what_is_wrong_with_a_file_is_said_in_words_of_our_own(tmp_path: Path, kind: str) -> None:
    Trace().save(tmp_path / "cut")
    whole = (tmp_path / "cut").read_bytes()
    (tmp_path / "cut").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty").touch()
    (tmp_path / "junk").write_bytes(bytes(range(256)) * 8)
    (tmp_path / "folder").mkdir()
    header = np.array(json.dumps({"schema_version": 1}))
    for name, arrays in (
        ("lacking", {"meta": header}),
        ("other", {"values": np.zeros(3)}),
        ("odd", {"meta": np.array("[1, 2]")}),
    ):
        with (tmp_path / name).open("wb") as file:
            np.savez(file, **arrays)
    with (tmp_path / "array").open("wb") as file:
        np.save(file, np.zeros(3))
    path = tmp_path / kind
    with pytest.raises(UserError, match=f"^{path} is not a trace of AdaSpark: {SENTENCES[kind]}.$"):
        Trace.load(path)


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
