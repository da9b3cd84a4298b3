"""The service behind the page with an engine that needs no model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from clips import write_clip
from fake_engine import FakeEngine, loading
from service_asked import QUESTION

from app.media.samples import read_samples
from app.service.service import Service


@pytest.fixture
def samples(tmp_path: Path) -> Path:
    folder = tmp_path / "samples"
    folder.mkdir()
    write_clip(folder / "01_two_shapes.mp4")
    items = [{"family": "needle", "question": QUESTION, "answer": "red"}] * 2
    (folder / "01_two_shapes.json").write_text(json.dumps({"items": items}))
    write_clip(folder / "02_without_notes.mp4")
    return folder


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
def service(engine: FakeEngine, samples: Path, tmp_path: Path) -> Iterator[Service]:
    built = Service(loading(engine), tmp_path / "proxies", samples=read_samples(samples))
    yield built
    built.close()


@pytest.fixture
def upload(tmp_path: Path) -> Path:
    path = tmp_path / "upload.mp4"
    write_clip(path, frames=12)
    return path
