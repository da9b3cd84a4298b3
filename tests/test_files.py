"""A file is written whole or not at all, whoever else writes beside it."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from waiting import PATIENCE_SECS

from adaspark.files import write_whole


def test_a_write_that_fails_leaves_what_was_there_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.write_text("old")

    def half(draft: Path) -> None:
        draft.write_text("ne")
        raise ValueError("full")

    with pytest.raises(ValueError, match="full"):
        write_whole(target, half)
    assert target.read_text() == "old" and list(tmp_path.iterdir()) == [target]


def test_threads_that_write_beside_each_other_keep_apart(tmp_path: Path) -> None:
    meeting = threading.Barrier(2)

    def write(name: str) -> None:
        def slowly(draft: Path) -> None:
            draft.write_text(name)
            meeting.wait(PATIENCE_SECS)

        write_whole(tmp_path / name, slowly)

    threads = [threading.Thread(target=write, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_SECS)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a": "a", "b": "b"}


def test_an_error_names_the_file_that_was_asked_for(tmp_path: Path) -> None:
    target = tmp_path / "none" / "file"
    with pytest.raises(OSError, match="No such file") as caught:
        write_whole(target, lambda draft: draft.write_text("new"))
    assert caught.value.filename == str(target)
