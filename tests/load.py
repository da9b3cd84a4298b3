"""Many visitors at once, through the real server. `make load` runs many of them for minutes.

    python tests/load.py --visitors 32 --warm-up 6 --minutes 10 --soak 500 --out FILE

Each plays recorded runs, asks, moves sliders, uploads, exports, stops and closes its tab; its
questions and files bear its number, which whatever it is shown must bear too. What must hold: every
answer is the one that its clip and question have, nobody sees another's, the newest slider move
wins, a run that is stopped ends within a second, memory stays flat once results and caches fill
their stores (`--warm-up`, minutes before the others), and nothing is left on disk.
"""

from __future__ import annotations

import argparse
import math
import re
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from browser.serving import served
from tab import Tab
from visitor import Found, Visitor
from waiting import until

from adaspark.environment import setting
from adaspark.figures_json import text_of, write_figures
from app.media.samples import Sample, read_samples

STOP_SECS, MAX_GROWTH = 1.0, 0.05
LEFT_SECS, AGAIN = 20, 60
_LOOK_SECS = 2.0
_KINDS = ("memory", "results", "caches")


@dataclass
class Memory:
    """Memory of the server in MiB, as it says itself, again and again from `after_secs` on until
    `until_secs`, when visitors begin to leave: what is resident, and what of it its stores of
    results and caches hold, each within its limit.
    """

    url: str
    after_secs: float = 0.0
    until_secs: float = math.inf
    seen: list[float] = field(default_factory=list)
    held: list[float] = field(default_factory=list)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Look until the block ends."""
        over = threading.Event()

        def look() -> None:
            end = time.monotonic() + self.until_secs
            over.wait(self.after_secs)
            while not over.wait(_LOOK_SECS) and time.monotonic() < end:
                resident, *stores = (metric(self.url, f"adaspark_{name}_bytes") for name in _KINDS)
                self.seen.append(resident / 2**20)
                self.held.append(sum(stores) / 2**20)

        thread = threading.Thread(target=look)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def growth(self) -> float:
        """By how much it grew over the last half, as a share."""
        half = self.seen[len(self.seen) // 2 :]
        tenth = max(1, len(half) // 10)
        return statistics.median(half[-tenth:]) / statistics.median(half[:tenth]) - 1


def metric(url: str, name: str) -> float:
    """A number of `/metrics`."""
    (found,) = re.findall(rf"^{name} (\S+)$", httpx.get(f"{url}metrics").text, re.MULTILINE)
    return float(found)


def ask_again(url: str, found: Found, count: int) -> None:
    """Ask so many of the questions once more, when nobody else is there: the answers are the same.

    They are not known beforehand: the mark of a visitor in a question may change its answer.
    """
    asked = sorted(found.answers.items())
    with Tab(url) as tab:
        for (sample, question), answer in asked[:: max(1, len(asked) // count)]:
            tab.call("sample", name=sample)
            run = tab.call("ask", [question, *tab.values("ask")[1:]], run=1)
            found.check(run["answer"] == answer, f"{question}: {answer} alone is {run['answer']}")
            found.acts["asked again"] += 1


def load(
    url: str, samples: list[Sample], *, visitors: int, secs: float, pause_secs: float = 2.0
) -> Found:
    """So many visitors at once for so long."""
    until(lambda: httpx.get(f"{url}readyz").status_code == 200)
    found = Found()
    everyone = [Visitor(url, number, samples, found) for number in range(visitors)]
    end = time.monotonic() + secs
    threads = [threading.Thread(target=one.visit, args=(end, pause_secs)) for one in everyone]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def soak(url: str, samples: list[Sample], requests: int) -> Found:
    """So many questions, one after another, of one visitor."""
    found = Found()
    visitor = Visitor(url, 0, samples, found)
    for number in range(requests):
        if number % 10 == 0:
            visitor.replay()
        visitor.ask()
        found.acts["ask"] += 1
    visitor.tab.close()
    return found


def left_in(folder: Path) -> list[str]:
    """The files that visitors left in the server's folder."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock")
    return sorted(str(path.relative_to(folder)) for path in files)


def figures(found: Found, memory: Memory) -> dict[str, Any]:
    """What a load came to, for JSON."""

    def spread(secs: list[float]) -> dict[str, float]:
        ordered = sorted(secs)
        shares = {"p50": 0.5, "p95": 0.95, "max": 1.0}
        return {name: round(ordered[int(s * (len(ordered) - 1))], 3) for name, s in shares.items()}

    seen = memory.seen
    return {
        "acts": dict(sorted(found.acts.items())),
        "wrong": found.wrong,
        "seconds": {name: spread(secs) for name, secs in sorted(found.secs.items())},
        "places_told": dict(sorted(found.places.items())),
        "waits_told": found.waits_told,
        "memory_mib": {
            "first": round(seen[0]),
            "half": round(seen[len(seen) // 2]),
            "last": round(seen[-1]),
            "max": round(max(seen)),
            "growth_over_the_last_half": round(memory.growth(), 4),
            "held_in_stores_at_half": round(memory.held[len(seen) // 2]),
            "held_in_stores_at_last": round(memory.held[-1]),
        },
    }


def measured(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """A load and a soak of the app with the bundled model."""
    samples = [sample for sample in read_samples() if not sample.sampling]
    switches = {
        "ADASPARK_CACHE_DIR": str(folder),
        "ADASPARK_LEFT_SECONDS": str(LEFT_SECS),
        "ADASPARK_MAX_RUNS_A_MINUTE": "6000",  # a soak asks as fast as it is answered
    }
    arguments = ("-m", "app", "--port", "0", "--no-browser")
    parts: dict[str, Any] = {}
    with served(*arguments, **switches) as url:
        warm_up, secs = 60 * options.warm_up, 60 * (options.warm_up + options.minutes)
        parts["load"] = _part(
            Memory(url, warm_up, secs),
            folder,
            lambda: load(url, samples, visitors=options.visitors, secs=secs),
        )
        parts["soak"] = _part(Memory(url), folder, lambda: soak(url, samples, options.soak))
    parts["files_left_at_the_end"] = left_in(folder)
    return parts


def _part(memory: Memory, folder: Path, work: Callable[[], Found]) -> dict[str, Any]:
    url = memory.url
    with memory.watched():
        found = work()
    ask_again(url, found, AGAIN)
    until(lambda: not left_in(folder) and not metric(url, "adaspark_runs_waiting"))
    runs = int(metric(url, "adaspark_runs_waiting"))
    return {**figures(found, memory), "files_left": left_in(folder), "runs_left": runs}


def holds(parts: dict[str, Any]) -> bool:
    """Whether it is as it must be."""
    both = parts["load"], parts["soak"]
    return not parts["files_left_at_the_end"] and all(
        not part["wrong"]
        and not part["files_left"]
        and not part["runs_left"]
        and part["memory_mib"]["growth_over_the_last_half"] <= MAX_GROWTH
        and part["seconds"].get("stop", {"max": 0})["max"] <= STOP_SECS
        for part in both
    )


def main() -> int:
    """Run, print and write the figures; exit status 1 if something does not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--visitors", type=int, default=32)
    parser.add_argument("--warm-up", type=float, default=6)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--soak", type=int, default=500)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    given = ("visitors", "warm_up", "minutes", "soak")
    asked = " ".join(f"--{n.replace('_', '-')} {getattr(options, n):g}" for n in given)
    with tempfile.TemporaryDirectory(prefix="load-") as folder:
        parts = measured(options, Path(folder))
    figures = {"command": f"python tests/load.py {asked}", "setting": setting(), **parts}
    print(text_of(figures))
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        write_figures(options.out, figures)
    return int(not holds(parts))


if __name__ == "__main__":
    raise SystemExit(main())
