"""Broken videos: real ones, mutated, sent to a real service. `make fuzz` runs many of them.

    python tests/fuzz.py --files 2000 --out assets/results/reliability/fuzz.json

What must hold: the server lives, no file takes longer than HANG_SECS, whoever sent it sees its
video or one sentence, and nothing is left on disk.
"""

from __future__ import annotations

import argparse
import logging
import random
import resource
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clips import copy_packets, write_clip
from fake_engine import FakeEngine, loading

from adaspark.environment import setting
from adaspark.errors import UserError
from adaspark.figures_json import text_of, write_figures
from adaspark.video.clip import Opener
from app.service.service import Service

HANG_SECS = 10.0
MAX_SENTENCE = 300
EXTREMES = (0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
HEAD_BYTES = 2048
"""Most of what describes a file is this near to its beginning or its end."""


def write_seeds(folder: Path) -> list[Path]:
    """Real files of each kind, small, with sound, B-frames, fragments, rotation."""
    folder.mkdir(parents=True)
    plain = write_clip(folder / "plain.mp4", sound=True)
    fragments = "frag_keyframe+empty_moov"
    return [
        plain,
        write_clip(folder / "b-frames.mp4", preset="medium", bf="2"),
        copy_packets(plain, folder / "fragments.mp4", movflags=fragments),
        write_clip(folder / "turned.mov", turn=90, size=(96, 128)),
        write_clip(folder / "mpeg4.mov", codec="mpeg4"),
        write_clip(folder / "plain.mkv", sound=True),
        write_clip(folder / "mjpeg.mkv", codec="mjpeg", pixel_format="yuvj420p"),
        write_clip(folder / "hevc.mkv", codec="libx265"),
        write_clip(folder / "vp9.webm", codec="libvpx-vp9"),
        write_clip(folder / "vp8.webm", codec="libvpx"),
        write_clip(folder / "mpeg4.avi", codec="mpeg4"),
        write_clip(folder / "h264.avi"),
    ]


def _somewhere(content: bytearray, chance: random.Random) -> int:
    """A place in a file, more often than not near its beginning or end."""
    near = min(HEAD_BYTES, len(content))
    place = chance.random()
    if place < 0.45:
        return chance.randrange(near)
    return (
        len(content) - near + chance.randrange(near)
        if place < 0.7
        else (chance.randrange(len(content)))
    )


def _bytes_changed(content: bytearray, chance: random.Random) -> None:
    for _ in range(chance.choice((1, 4, 32))):
        content[_somewhere(content, chance)] = chance.randrange(256)


def _number_extreme(content: bytearray, chance: random.Random) -> None:
    at, order = _somewhere(content, chance), chance.choice(("big", "little"))
    content[at : at + 4] = chance.choice(EXTREMES).to_bytes(4, order)


def _zeroed(content: bytearray, chance: random.Random) -> None:
    at, count = _somewhere(content, chance), chance.choice((8, 64, 1024))
    content[at : at + count] = bytes(len(content[at : at + count]))


def _removed(content: bytearray, chance: random.Random) -> None:
    at = _somewhere(content, chance)
    del content[at : at + chance.choice((1, 4, 100, 3000))]


def _repeated(content: bytearray, chance: random.Random) -> None:
    at = _somewhere(content, chance)
    content[at:at] = content[at : at + chance.choice((4, 100, 3000))] * chance.choice((1, 20))


def _cut(content: bytearray, chance: random.Random) -> None:
    del content[max(1, chance.randrange(len(content))) :]


def _swapped(content: bytearray, chance: random.Random) -> None:
    a, b = _somewhere(content, chance), _somewhere(content, chance)
    content[a : a + 64], content[b : b + 64] = content[b : b + 64], content[a : a + 64]


MUTATIONS: tuple[Callable[[bytearray, random.Random], None], ...] = (
    _bytes_changed,
    _number_extreme,
    _zeroed,
    _removed,
    _repeated,
    _cut,
    _swapped,
)


def mutated(content: bytes, chance: random.Random) -> bytes:
    """The content after one to three mutations."""
    changed = bytearray(content)
    for mutate in chance.choices(MUTATIONS, k=chance.randrange(1, 4)):
        if changed:
            mutate(changed, chance)
    return bytes(changed)


class OpeningEngine(FakeEngine):
    """A fake engine that shows what it was told opens its videos."""

    opener: Opener

    def open_with(self, open_video: Opener) -> None:
        super().open_with(open_video)
        self.opener = open_video


@dataclass
class Found:
    """What came of the files: how often each outcome, seconds each took, failures of readers."""

    outcomes: Counter[str] = field(default_factory=Counter)
    secs: list[float] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    seeds: int = 0

    @property
    def holds(self) -> bool:
        is_quick = all(secs <= HANG_SECS for secs in self.secs)
        return (
            is_quick and not self.wrong and not self.left and self.outcomes["whole"] == self.seeds
        )

    def figures(self) -> dict[str, Any]:
        ordered = sorted(self.secs)
        return {
            "files": len(ordered),
            "shown": self.outcomes["shown"],
            "refused_with_a_sentence": self.outcomes["refused"],
            "tracebacks_or_no_sentence": len(self.wrong),
            "hangs_over_10_s": sum(secs > HANG_SECS for secs in ordered),
            "files_left": len(self.left),
            "whole_files_shown_afterwards": f"{self.outcomes['whole']} of {self.seeds}",
            "readers_that_failed": dict(self.faults.most_common()),
            "seconds": {
                name: round(ordered[int(share * (len(ordered) - 1))], 3)
                for name, share in (("p50", 0.5), ("p99", 0.99), ("max", 1.0))
            },
            "largest_reader_mib": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024,
        }


class Heard(logging.Handler):
    """Counts why readers failed."""

    def __init__(self, faults: Counter[str]) -> None:
        super().__init__()
        self.faults = faults

    def emit(self, record: logging.LogRecord) -> None:
        self.faults[record.getMessage().removeprefix("A reader failed: ")] += 1


def mutants(seeds: list[Path], count: int, seed: int) -> Iterator[tuple[int, str, bytes]]:
    """Number, suffix and content of each, the same for the same `seed`."""
    for number in range(count):
        chance = random.Random(f"{seed} {number}")
        chosen = seeds[number % len(seeds)]
        yield number, chosen.suffix, mutated(chosen.read_bytes(), chance)


def fuzz(folder: Path, count: int, *, seed: int = 0, at_once: int = 2) -> Found:
    """Send so many mutants to a service whose files lie in `folder`."""
    found, received, proxies = Found(), folder / "received", folder / "proxies"
    received.mkdir(parents=True)
    engine = OpeningEngine()
    service = Service(loading(engine), proxies, received=received)
    log = logging.getLogger("app.media.reader.pool")
    handler = Heard(found.faults)
    log.addHandler(handler)
    log.propagate = False
    seeds = write_seeds(folder / "seeds")

    def send(mutant: tuple[int, str, bytes]) -> None:
        number, suffix, content = mutant
        path = received / f"{number}{suffix}"
        path.write_bytes(content)
        start = time.monotonic()
        try:
            video = service.videos.prepare(path, path.name)
            shown = list(engine.opener(video.path).pictures([0.0]))
            found.outcomes["shown"] += len(shown)
        except UserError as error:
            sentence = str(error)
            is_one = sentence.endswith(".") and sentence.isprintable()
            if not is_one or len(sentence) > MAX_SENTENCE or "Traceback" in sentence:
                found.wrong.append(f"{number}: {sentence}")
            found.outcomes["refused"] += 1
        except Exception as error:
            found.wrong.append(f"{number}: {error!r}")
        found.secs.append(time.monotonic() - start)

    try:
        with ThreadPoolExecutor(at_once) as threads:
            for _ in threads.map(send, mutants(seeds, count, seed)):
                pass
        found.seeds = len(seeds)
        found.outcomes["whole"] = sum(
            service.videos.prepare(s, s.name).upload is not None for s in seeds
        )
    finally:
        log.removeHandler(handler)
        log.propagate = True
        service.close()
    unfinished = (path for path in proxies.iterdir() if path.suffix != ".mp4")
    found.left = [path.name for path in (*received.iterdir(), *unfinished)]
    return found


def main() -> int:
    """Run, print and write the figures; exit status 1 if something does not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    try:
        found = fuzz(folder, options.files, seed=options.seed)
    finally:
        shutil.rmtree(folder)
    command = f"python tests/fuzz.py --files {options.files} --seed {options.seed}"
    figures = {"command": command, "setting": setting(), **found.figures()}
    print(text_of(figures), *found.wrong, *found.left, sep="\n")
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        write_figures(options.out, figures)
    return int(not found.holds)


if __name__ == "__main__":
    raise SystemExit(main())
