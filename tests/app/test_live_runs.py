"""Runs that go on while their page cannot hear them."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Iterator

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient
from waiting import until

from app.service.live_runs import LiveRuns
from app.web.routes import alive, live_run

TICKET = "0123456789abcdef"


def states(gate: threading.Event) -> Iterator[dict[str, str]]:
    yield {"state": "running", "answer": "a"}
    gate.wait(30)
    yield {"state": "done", "answer": "ab"}


def test_every_state_is_heard_in_order() -> None:
    gate, runs = threading.Event(), LiveRuns[dict[str, str]]()
    followed = runs.start(TICKET, states(gate))
    first = next(followed)
    gate.set()
    assert [first, *followed] == list(states(gate))


def test_a_run_that_nobody_follows_any_more_ends_and_is_found_by_its_ticket() -> None:
    gate, runs = threading.Event(), LiveRuns[dict[str, str]]()
    followed = runs.start(TICKET, states(gate))
    next(followed)
    followed.close()  # type: ignore[attr-defined]
    client = TestClient(Starlette(routes=[live_run(runs)]))  # type: ignore[arg-type]
    assert client.get(f"/studio/runs/{TICKET}").json()["state"] == "running"
    run = runs.get(TICKET)
    gate.set()
    assert run and until(lambda: run.newest()[1])
    assert client.get(f"/studio/runs/{TICKET}").json() == {"state": "done", "answer": "ab"}
    assert client.get("/studio/runs/none").json() == {"state": "unknown"}


class State(dict[str, str]):
    """A state that can be watched."""


def made(count: int, alive: list[weakref.ref[State]]) -> Iterator[State]:
    for number in range(count):
        state = State(answer="word " * number)
        alive.append(weakref.ref(state))
        yield state


@pytest.mark.parametrize("leaves", [False, True])
def test_of_a_run_that_has_ended_only_the_last_state_is_kept(leaves: bool) -> None:
    runs, alive = LiveRuns[State](), list[weakref.ref[State]]()
    followed = runs.start(TICKET, made(50, alive))
    first = next(followed)
    assert first == {"answer": ""}
    del first
    if leaves:
        followed.close()  # type: ignore[attr-defined]
    else:
        assert len(list(followed)) == 49
    run = runs.get(TICKET)
    assert run and until(lambda: run.newest()[1])
    del followed
    gc.collect()
    assert [ref() is not None for ref in alive] == [False] * 49 + [True]


def test_a_run_that_was_superseded_says_so() -> None:
    runs = LiveRuns[dict[str, str]]()
    list(runs.start(TICKET, [{"state": "running", "answer": ""}]))
    client = TestClient(Starlette(routes=[live_run(runs)]))  # type: ignore[arg-type]
    assert client.get(f"/studio/runs/{TICKET}").json() == {"state": "superseded"}


def test_the_newest_runs_are_known() -> None:
    runs = LiveRuns[dict[str, str]](maximum=1)
    for ticket in ("a" * 16, "b" * 16):
        list(runs.start(ticket, []))
    assert runs.get("a" * 16) is None and runs.get("b" * 16) is not None


def test_each_start_of_a_server_has_a_name_of_its_own() -> None:
    names = {
        TestClient(Starlette(routes=[alive()])).get("/studio/alive").json()["start"]
        for _ in range(2)
    }
    assert len(names) == 2
