"""What tests of the engine ask about: the bundled model and others, and a clip."""

from __future__ import annotations

from pathlib import Path

import engine_asked
import pytest
from checkpoints import hub_checkpoint
from clips import write_clip
from conversations import MODELS, Case

from adaspark.model.engine import Engine
from adaspark.model.request import Event


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine()


@pytest.fixture(scope="module")
def events(engine: Engine) -> list[Event]:
    return list(engine.ask(engine_asked.CLIP, engine_asked.QUESTION, engine_asked.options()))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    # Two whole seconds a slice: transformers before 5.18 cuts what is left over.
    return write_clip(path, frames=24, fps=6, size=(480, 272))


@pytest.fixture(scope="module", params=MODELS)
def case(
    request: pytest.FixtureRequest, clip: Path, tmp_path_factory: pytest.TempPathFactory
) -> Case:
    """A model of a family; in fp32, for rounding in bf16 depends on how products are batched."""
    name = str(request.param)
    if name != "mini":
        name = str(hub_checkpoint(tmp_path_factory.mktemp("hub") / name, family=name))
    engine = Engine(name, "cpu")
    engine._checkpoint.model.float()
    return Case(engine, clip)


@pytest.fixture(scope="module")
def mini(clip: Path) -> Case:
    return Case(Engine(device="cpu"), clip)
