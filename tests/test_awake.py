"""A process that is forgotten is woken, and one that runs or waits is left alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from subprocess import PIPE

import awake
import pytest
from waiting import until

pytestmark = pytest.mark.skipif(not awake.ready([os.getpid()]), reason="needs Linux's /proc")
BUSY = "while True: pass"
CHILD = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {BUSY!r}])"
ANSWERS = "while True: print(input(), flush=True)"


@contextmanager
def python(code: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=PIPE, stdout=PIPE, text=True) as found:
        try:
            yield found
        finally:
            for pid in awake.descendants(found.pid):
                kill(pid)
            found.kill()


def kill(pid: int) -> None:
    with suppress(ProcessLookupError):  # it ended since it was seen
        os.kill(pid, signal.SIGKILL)


def test_what_a_child_started_descends_from_us_and_is_ready_while_it_computes() -> None:
    with python(CHILD) as child:
        assert until(lambda: awake.ready(awake.descendants(child.pid)))
        assert set(awake.descendants(child.pid)) < set(awake.descendants(os.getpid()))


def test_who_is_nice_may_wait() -> None:
    with python(f"import os; os.nice(5); print(flush=True)\n{BUSY}") as child:
        assert child.stdout and child.stdout.readline()
        assert until(lambda: awake._fields(awake.PROC / str(child.pid))[0] == "R")
        assert not awake.ready([child.pid])


def test_only_who_was_ready_and_was_given_nothing_is_forgotten() -> None:
    before = {(1, 1): "5 0 1", (1, 2): "7 0 1", (2, 2): "9 0 1", (4, 4): "3 0 1"}
    now = {(1, 1): "6 0 2", (1, 2): "7 0 1", (2, 2): "9 1 2", (3, 3): "0 0 0"}
    assert awake.forgotten(before, now) == {1}


def test_the_forgotten_of_a_run_are_woken_until_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    woken: list[int] = []

    def end(pid: int) -> None:
        woken.append(pid)
        kill(pid)

    monkeypatch.setattr(awake, "FORGOTTEN_SECS", 0)
    monkeypatch.setattr(awake, "ready", lambda pids: {(pid, pid): "1 0 1" for pid in pids})
    with python(CHILD) as child:
        assert until(lambda: awake.descendants(child.pid))
        (below,) = awake.descendants(child.pid)
        monkeypatch.setattr(awake, "wake", end)
        awake.watch(child.pid)
        child.wait()
        assert set(woken) == {below}


def test_who_is_woken_goes_on_as_before() -> None:
    with python(ANSWERS) as child:
        assert child.stdin and child.stdout
        awake.wake(child.pid)
        child.stdin.write("still here\n")
        child.stdin.flush()
        assert child.stdout.readline() == "still here\n"
    awake.wake(child.pid)  # one that has ended is no error
