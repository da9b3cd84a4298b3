"""Vision features on disk: as in memory, bounded, taken up after a kill, gone after a stop."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import pytest
import torch
from coded_clip import write_coded_clip
from paths import ROOT
from signals import hears_interrupts
from waiting import PATIENCE_SECS

from adaspark.model import feature_files, vision
from adaspark.model.engine import Engine
from adaspark.model.events import Phase, Result
from adaspark.model.feature_files import FeatureFiles
from adaspark.model.feature_rows import Held, Spilled
from adaspark.model.request import Options

QUESTION = "what color is the circle ?"
FRAMES = 24


@pytest.fixture(autouse=True)
def small_features_are_worth_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feature_files, "SPILLED_BYTES", {"cpu": 0})
    monkeypatch.setattr(vision, "SLICES_AT_ONCE", 2)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_coded_clip(tmp_path_factory.mktemp("features") / "clip.mp4", frames=FRAMES)


@pytest.fixture(scope="module")
def loaded() -> Engine:
    return Engine()


@pytest.fixture(scope="module")
def in_memory(loaded: Engine, clip: Path) -> Result:
    return answer(loaded, clip)


@pytest.fixture
def engine(loaded: Engine, tmp_path: Path) -> Engine:
    return restarted(loaded, tmp_path / "features")


def restarted(engine: Engine, folder: Path | None = None) -> Engine:
    """The engine as one that has just been started, on the same folder or on another."""
    engine._cache.clear()
    engine._files = FeatureFiles(folder or engine._files._folder, engine._checkpoint.model)
    return engine


def options(engine: Engine) -> Options:
    return engine.options(fps=8.0, max_frames=FRAMES, max_pixels=12544, max_new_tokens=4)


def answer(engine: Engine, clip: Path, seen: list[Phase] | None = None) -> Result:
    *events, last = engine.ask(clip, QUESTION, options(engine))
    assert isinstance(last, Result)
    if seen is not None:
        seen.extend(event for event in events if isinstance(event, Phase))
    return last


def same(one: Result, other: Result) -> bool:
    """Whether two runs gave the same words and the same decisions, bit for bit."""
    arrays = ("kept_share", "word_probs", "word_kept", "ffn_kept", "ffn_importance", "frame_times")
    return one.answer == other.answer and all(
        (getattr(one.trace, name) == getattr(other.trace, name)).all() for name in arrays
    )


def test_features_on_disk_change_nothing_and_are_read_by_the_next_run(
    engine: Engine, clip: Path, in_memory: Result
) -> None:
    assert same(answer(engine, clip), in_memory)
    seen: list[Phase] = []
    assert same(answer(restarted(engine), clip, seen), in_memory)
    assert not [phase for phase in seen if phase.name in ("decode", "vision")]


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path[:0] = sys.argv[3:]
from adaspark.model import feature_files, vision
from adaspark.model.engine import Engine
from test_feature_files import QUESTION, options
feature_files.SPILLED_BYTES, vision.SLICES_AT_ONCE = {"cpu": 0}, 2
engine, usual, calls = Engine(features_folder=Path(sys.argv[2])), vision.encode, []
def encode(*given):
    calls.append(given)
    if len(calls) == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    return usual(*given)
vision.encode = encode
for _ in engine.ask(sys.argv[1], QUESTION, options(engine)):
    pass
"""
"""Killed by what encodes, where it is: who only hears of it may be any number of frames behind."""


@pytest.mark.long
def test_a_killed_run_is_taken_up_where_it_was(
    engine: Engine, clip: Path, in_memory: Result, tmp_path: Path
) -> None:
    folders = [str(ROOT), *map(str, (ROOT / "tests", ROOT / "tests" / "model"))]
    given = [str(clip), str(tmp_path / "features"), *folders]
    done = subprocess.run(
        [sys.executable, "-c", KILLED, *given], timeout=PATIENCE_SECS, check=False
    )
    assert done.returncode == -signal.SIGKILL
    seen: list[Phase] = []
    assert same(answer(engine, clip, seen), in_memory)
    decoded = [phase.done for phase in seen if phase.name == "decode"]
    assert 12 < decoded[0] <= FRAMES and decoded == list(range(decoded[0], FRAMES + 1))


def waits_for_its_asker_to_leave(engine: Engine) -> None:
    """Make the next request end only after that: a run that was over before has finished."""
    usual = engine._files.request

    @contextmanager
    def request(gone: Event) -> Iterator[None]:
        with usual(gone):
            yield
            assert gone.wait(PATIENCE_SECS)

    engine._files.request = request  # type: ignore[method-assign]


@pytest.mark.parametrize("phase", ["decode", "vision", "prefill", "generate"])
def test_a_run_that_is_left_leaves_nothing(
    engine: Engine, clip: Path, tmp_path: Path, phase: str
) -> None:
    waits_for_its_asker_to_leave(engine)
    events = engine.ask(clip, QUESTION, options(engine))
    for event in events:
        if isinstance(event, Phase) and event.name == phase:
            events.close()  # type: ignore[attr-defined]
    assert not (tmp_path / "features").exists()


def test_what_an_earlier_run_has_made_outlives_a_stop(
    engine: Engine, clip: Path, in_memory: Result
) -> None:
    answer(engine, clip)
    events = restarted(engine).ask(clip, QUESTION, options(engine))
    next(events)
    events.close()  # type: ignore[attr-defined]
    seen: list[Phase] = []
    assert same(answer(restarted(engine), clip, seen), in_memory)
    assert seen[0].name == "prefill"


@pytest.mark.long
def test_ctrl_c_on_the_command_line_leaves_nothing(clip: Path, tmp_path: Path) -> None:
    folder = tmp_path / "features"
    code = (
        "import sys; from adaspark.model import feature_files, vision, features\n"
        "feature_files.SPILLED_BYTES, vision.SLICES_AT_ONCE = {'cpu': 0}, 1\n"
        "usual = vision.encode\n"
        "def told(*given):\n    print('at work', flush=True)\n"
        "    sys.stdin.readline()  # it is still at work when it is interrupted\n"
        "    return usual(*given)\n"
        "vision.encode = told\n"
        "from adaspark.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    ask = ["ask", str(clip), QUESTION, "--fps", "8", "--max-frames", str(FRAMES)]
    child = subprocess.Popen(
        [sys.executable, "-c", code, *ask],
        env={**os.environ, "ADASPARK_FEATURES": str(folder)},
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=hears_interrupts,
    )
    assert child.stdout is not None and "at work" in child.stdout.readline()
    child.send_signal(signal.SIGINT)
    _, told = child.communicate("\n", timeout=PATIENCE_SECS)
    assert child.returncode == 130 and "Traceback" not in told
    assert not folder.exists()


class Model:
    """What a store asks of a model: rows of 4 numbers of 4 bytes, and a tower."""

    def __init__(self) -> None:
        self.config = type("Config", (), {})()
        self.config.text_config = type("Text", (), {"hidden_size": 4})()
        self.config.vision_config = type("Vision", (), {})()
        self.dtype, self.device = torch.float32, torch.device("cpu")
        self.model = type("Base", (), {"visual": torch.nn.Linear(2, 2)})()


def entry(files: FeatureFiles, name: str, tokens: int = 10) -> Spilled:
    found = files.entry(name, tokens=tokens)
    assert found is not None
    return found


def fill(into: Held | Spilled, *, dtype: torch.dtype = torch.float32) -> None:
    for number in range(2):
        rows = torch.arange(20.0).view(5, 4).to(dtype) + 20 * number
        into.add((rows, -rows), [number, number + 0.5], damaged=number)


@pytest.fixture
def files(tmp_path: Path) -> Iterator[FeatureFiles]:
    found = FeatureFiles(tmp_path, Model(), max_bytes=1000)
    with found.request(Event()):
        yield found


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_rows_come_back_as_they_were(files: FeatureFiles, dtype: torch.dtype) -> None:
    held, spilled = Held(), entry(files, "a")
    for into in (held, spilled):
        fill(into, dtype=dtype)
    for mine, theirs in zip(held.levels(), spilled.levels(), strict=True):
        assert mine.dtype == theirs.dtype and torch.equal(mine, theirs)
    assert held.times_secs == spilled.times_secs == [0, 0.5, 1, 1.5]
    assert held.damaged == spilled.damaged == 1


def finish(files: FeatureFiles, name: str, when: float) -> Path:
    """An entry that a run has made and left."""
    with files.request(Event()):
        found = entry(files, name)
        fill(found)
    os.utime(found.folder / "progress.json", (when, when))
    return found.folder


def test_the_longest_unused_make_room_but_not_what_is_open(files: FeatureFiles) -> None:
    old, new = finish(files, "old", 1.0), finish(files, "new", 2.0)
    entry(files, "old")
    third = entry(files, "third", tokens=40).folder
    assert old.exists() and not new.exists() and third.exists()


def test_an_entry_belongs_to_one_at_a_time(files: FeatureFiles) -> None:
    mine = entry(files, "a")
    assert files.entry("a", tokens=10) is None
    mine.close()
    entry(files, "a")


def test_a_file_that_lost_rows_begins_anew(files: FeatureFiles) -> None:
    folder = finish(files, "a", 1.0)
    os.truncate(folder / "level-1.bin", 30)
    found = entry(files, "a")
    assert not found.times_secs
    fill(found)
    assert [len(level) for level in found.levels()] == [10, 10]


def test_other_weights_have_other_features(files: FeatureFiles) -> None:
    finish(files, "a", 1.0)
    assert entry(files, "a").times_secs
    files._model = Model()
    del files._tower
    assert not entry(files, "a").times_secs


def test_a_folder_that_cannot_be_used_leaves_it_to_memory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert FeatureFiles(tmp_path / "file", Model()).entry("a", tokens=10) is None
    assert FeatureFiles(None, Model()).entry("a", tokens=10) is None
    assert FeatureFiles(tmp_path / "new", Model()).entry("a", tokens=2**60) is None
