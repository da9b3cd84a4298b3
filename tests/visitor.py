"""A visitor of the studio who does this and that and checks all that is shown: see `load.py`."""

from __future__ import annotations

import random
import re
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from tab import Tab

from adaspark.trace.trace import Trace
from app.media.samples import Sample

TOLD_TO_WAIT = re.compile(
    "Too many questions are waiting|Too many videos are being read|films are being drawn"
)


@dataclass
class Found:
    """What the visitors saw; shared by them all."""

    acts: Counter[str] = field(default_factory=Counter)
    secs: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    places: Counter[int] = field(default_factory=Counter)
    waits_told: int = 0
    wrong: list[str] = field(default_factory=list)
    answers: dict[tuple[str, str], str] = field(default_factory=dict)  # by sample and question

    def check(self, holds: bool, what: str) -> None:
        """Note what does not hold."""
        if not holds:
            self.wrong.append(what)


class Visitor:
    """One visitor with a page: does this and that until `until`, seconds of the clock."""

    def __init__(self, url: str, number: int, samples: list[Sample], found: Found) -> None:
        self.url, self.number, self.samples, self.found = url, number, samples, found
        self.chance = random.Random(number)
        self.runs = 0
        self._open()

    def visit(self, until: float, pause_secs: float = 1.0) -> None:
        """Do what visitors do; whatever goes wrong is noted."""
        acts: list[Callable[[], None]] = [
            *[self.replay] * 3,
            *[self.ask] * 4,
            *[self.slide] * 2,
            *[self.export] * 2,
            *[self.upload] * 2,
            *[self.stop] * 2,
            self.close,
        ]
        while time.monotonic() < until:
            act = self.chance.choice(acts)
            try:
                act()
            except Exception as error:
                self.found.wrong.append(f"{self.number} {act.__name__}: {error!r}")
            self.found.acts[act.__name__] += 1
            time.sleep(self.chance.uniform(0, 2 * pause_secs))
        self.tab.close()

    def replay(self) -> None:
        """Choose a sample: its recorded run, and the scene that is drawn of it."""
        self.sample = self.chance.choice(self.samples)
        card = self._timed("choose", lambda: self.tab.call("sample", name=self.sample.name))
        self._is(card["sample"], self.sample.name, "card")
        if recorded := card.get("recorded"):
            scene = self._timed("scene", lambda: self._fetch(recorded["key"], "scene.json").json())
            self._is(scene["question"], card["question"], "scene of a recorded run")

    def ask(self) -> dict[str, Any] | None:
        """A question of the sample in view, with this visitor's mark."""
        return self._asked(self._question())

    def slide(self) -> None:
        """Move a slider four times at once: the last one is what is answered."""
        if self.ask() is None:
            return
        moves = {}
        for p in self.chance.sample((0.5, 0.55, 0.6, 0.65, 0.7, 0.75), 4):
            self.runs += 1
            values = [p, *self.tab.values("retune")[1:]]
            moves[self.tab.begin("retune", values, run=self.runs)] = p
        newest = list(moves)[-1]
        ends = dict(self.tab.follow(*moves))
        if self._is_told_to_wait(ends[newest]):
            return
        self._is(ends[newest]["state"], "done", "newest move")
        self._is(ends[newest]["summary"]["config"]["attn_top_p"], moves[newest], "newest move's p")

    def export(self) -> None:
        """The trace and the report of a run; now and then its film."""
        run = self.ask()
        if run is None:
            return
        path = Path(tempfile.mkstemp(suffix=".npz")[1])
        path.write_bytes(self._fetch(run["key"], "trace.npz").content)
        self._is(Trace.load(path).meta.question, run["question"], "trace")
        path.unlink()
        report = self._timed("report", lambda: self._fetch(run["key"], "report.html").text)
        self.found.check(run["question"] in report, f"{self.number}: another's report")
        if self.chance.random() < 0.1:
            film = self._timed("film", lambda: self.tab.get(f"studio/{run['key']}/overlay.mp4"))
            told = self._is_told_to_wait({"error": film.text if film.is_error else ""})
            self.found.check(told or film.content[4:8] == b"ftyp", f"{self.number}: no film")

    def upload(self) -> None:
        """Send a file that nobody else has, and ask about it."""
        sample = self.chance.choice(self.samples)
        mark = f"visitor-{self.number}-{self.runs}"
        box = mark.encode().ljust(24)
        content = sample.path.read_bytes() + (8 + len(box)).to_bytes(4, "big") + b"free" + box
        path = self.tab.upload(sample.path, f"{mark}.mp4", content)
        card = self._timed(
            "upload", lambda: self.tab.call("upload", path=path, name=f"{mark}.mp4", pick=1)
        )
        if self._is_told_to_wait(card):
            return
        self._is(card.get("name"), f"{mark}.mp4", f"card of an upload ({card.get('error')})")
        self.sample = sample
        run = self._asked(self._question(), clip=f"{mark}.mp4")
        if run:
            self._is(self._fetch("", run["url"]).content[4:8], b"ftyp", "video")

    def stop(self) -> None:
        """Ask and stop at the first sign of the run; it ends within a second."""
        event, stopped = self._begin(self._question()), 0.0
        for _, state in self.tab.follow(event):
            if not stopped:
                stopped = time.monotonic()
                self.tab.tell("stop")
            last = state
        self.found.secs["stop"].append(time.monotonic() - stopped)
        self._is_told_to_wait(last)

    def close(self) -> None:
        """Close the tab in the middle of a run, and come back as somebody new."""
        states = self.tab.follow(self._begin(self._question()))
        next(states, None)
        self.tab.close()
        states.close()
        self._open()

    def _open(self) -> None:
        """Open a page, which greets with the first sample."""
        self.tab, self.sample = Tab(self.url), self.samples[0]
        self._is(self.tab.call("greet")["sample"], self.sample.name, "greeting")

    def _question(self) -> str:
        """The sample's question with a mark of whose it is."""
        self.runs += 1
        return f"{self.sample.questions[0]} (visitor {self.number}, {self.runs})"

    def _begin(self, question: str) -> str:
        ticket = f"visitor-{self.number:06}-{self.runs:06}"
        values = [question, *self.tab.values("ask")[1:]]
        return self.tab.begin("ask", values, run=self.runs, ticket=ticket)

    def _asked(self, question: str, *, clip: str | None = None) -> dict[str, Any] | None:
        """Ask; the finished run, checked, or None if the visitor was told to wait."""
        last: dict[str, Any] = {}
        start = time.monotonic()
        for _, state in self.tab.follow(self._begin(question)):
            last = state
            self._is(state.get("run"), self.runs, "number of a run")
            phase = state.get("phase") or {}
            if phase.get("name") == "waiting":
                self.found.places[phase["total"]] += 1
                self.found.waits_told += phase["secs"] is not None
        if self._is_told_to_wait(last):
            return None
        self.found.secs["ask"].append(time.monotonic() - start)
        self._is(last["state"], "done", f"run ({last.get('error')})")
        if last["state"] != "done":
            return None
        self._is(last["question"], question, "question of a run")
        self.found.answers[self.sample.name, question] = last["answer"]
        scene = self._fetch(last["key"], "scene.json").json()
        self._is(scene["question"], question, "scene's question")
        if clip:
            self._is(scene["clip"]["name"], clip, "scene's clip")
        return last

    def _fetch(self, key: str, name: str) -> httpx.Response:
        answer = self.tab.get(f"studio/{key}/{name}" if key else name)
        answer.raise_for_status()
        return answer

    def _is_told_to_wait(self, state: dict[str, Any]) -> bool:
        told = bool(TOLD_TO_WAIT.search(str(state.get("error") or "")))
        self.found.acts["told to come back later"] += told
        return told

    def _timed(self, name: str, work: Callable[[], Any]) -> Any:
        start = time.monotonic()
        done = work()
        self.found.secs[name].append(time.monotonic() - start)
        return done

    def _is(self, found: object, expected: object, what: str) -> None:
        self.found.check(found == expected, f"{self.number} {what}: {found!r} is not {expected!r}")
