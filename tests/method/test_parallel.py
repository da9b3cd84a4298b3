"""Pieces on threads are the same pieces; a stream ends with its consumer."""

from __future__ import annotations

import threading

import pytest
import torch
from waiting import PATIENCE_SECS

from adaspark.method import threads
from adaspark.model.streaming import Stopped, streamed

CPU = torch.device("cpu")


@pytest.fixture
def two_threads() -> object:
    usual = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(usual)


@pytest.mark.usefixtures("two_threads")
def test_results_come_in_order_and_torch_keeps_its_threads() -> None:
    with torch.inference_mode():
        squares = threads.run(lambda i: torch.tensor(i) ** 2, list(range(20)), CPU)
    assert [int(s) for s in squares] == [i * i for i in range(20)]
    assert torch.get_num_threads() == 2


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("inference", [True, False])
def test_workers_keep_the_caller_s_mode(inference: bool) -> None:
    with torch.inference_mode(inference), torch.no_grad():
        modes = threads.run(
            lambda _: (torch.is_inference_mode_enabled(), torch.is_grad_enabled()), [1, 2], CPU
        )
    assert modes == [(inference, False)] * 2


@pytest.mark.usefixtures("two_threads")
def test_an_error_of_a_piece_is_raised_and_threads_come_back() -> None:
    def work(piece: int) -> int:
        return 1 // piece

    with torch.no_grad(), pytest.raises(ZeroDivisionError):
        threads.run(work, [1, 0, 2], CPU)
    assert torch.get_num_threads() == 2


@pytest.mark.usefixtures("two_threads")
def test_gradients_stay_in_the_caller_s_thread() -> None:
    here = threading.get_ident()
    assert set(threads.run(lambda _: threading.get_ident(), [1, 2, 3], CPU)) == {here}


@pytest.fixture(params=["torch's threads", "ours"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "ours":
        monkeypatch.setattr(threads, "_openmp", lambda: None)
    elif threads._openmp() is None:
        pytest.skip("torch runs on another OpenMP here")
    return str(request.param)


@pytest.mark.usefixtures("two_threads", "kind")
def test_threads_work_together() -> None:
    both = threading.Barrier(2, timeout=PATIENCE_SECS)
    seen = set()

    def work() -> None:
        both.wait()
        seen.add(threading.get_ident())

    threads.together(work)
    assert len(seen) == 2 and threading.get_ident() in seen


@pytest.mark.usefixtures("two_threads", "kind")
def test_an_error_of_any_thread_is_raised() -> None:
    here, both = threading.get_ident(), threading.Barrier(2, timeout=PATIENCE_SECS)

    def work() -> None:
        both.wait()
        if threading.get_ident() != here:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        threads.together(work)


def test_one_thread_works_alone() -> None:
    usual = torch.get_num_threads()
    torch.set_num_threads(1)
    calls: list[int] = []
    threads.together(lambda: calls.append(threading.get_ident()))
    torch.set_num_threads(usual)
    assert calls == [threading.get_ident()]


def test_a_stream_yields_what_is_emitted_and_raises_what_is_raised() -> None:
    def work(emit: object, gone: threading.Event) -> None:
        emit(1)  # type: ignore[operator]
        emit(2)  # type: ignore[operator]
        raise ValueError("broken")

    seen = []
    with pytest.raises(ValueError, match="broken"):
        seen.extend(streamed(work))  # type: ignore[arg-type]
    stream = streamed(work)  # type: ignore[arg-type]
    assert [next(stream), next(stream)] == [1, 2]


def test_a_consumer_that_leaves_stops_the_work() -> None:
    ended = threading.Event()

    def work(emit: object, gone: threading.Event) -> None:
        emit(1)  # type: ignore[operator]
        gone.wait(10)
        ended.set()
        raise Stopped

    stream = streamed(work)  # type: ignore[arg-type]
    next(stream)
    stream.close()
    assert ended.is_set()
