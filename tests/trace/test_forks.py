"""A layer's sums and a fork of them: what either is told from then on, the other is not."""

from __future__ import annotations

from threading import Thread

import numpy as np
import torch

from adaspark.method.tally import Later, Tally
from adaspark.trace.recorder_layer import Choices, Layer, Summed
from adaspark.trace.recorder_sums import settle


def waiting() -> Layer:
    """Two query cubes by three cubes, and what is yet to be added: 1 to each, of one layer."""
    layer = Layer(np.full((2, 3), 5, np.int32), np.full((3, 3), 5.0))
    table = torch.ones(2, 3, dtype=torch.int32)
    layer.tallies.append(Summed(slice(0, 2), table, lambda: torch.tensor([7, 9])))
    choices = Choices(torch.tensor([3, 3, 3]), torch.tensor([0, 1, 2]), torch.tensor([1, 6, 9]))
    layer.figures.append((choices, torch.ones(3, 3)))
    return layer


def test_what_waits_is_added_once_to_each() -> None:
    layer = waiting()
    fork = layer.forked()
    for one in (layer, fork):
        settle([one])
        assert (one.attended == 6).all() and (one.cube_sums == 6).all()
        assert (one.computed_pairs, one.executed_pairs) == (7, 9)


def test_a_table_alone_is_a_fork_s_own_too() -> None:
    layer = waiting()
    layer.figures.clear()
    fork = layer.forked()
    settle([layer])
    assert (layer.attended == 6).all() and (fork.attended == 5).all()


def test_who_counted_keeps_a_table_that_a_layer_began_with() -> None:
    """Two recorders may hear of the same sums."""
    table = np.ones((2, 3), np.int32)
    layers = [Layer(np.zeros((2, 3), np.int32), np.zeros((3, 3)), is_blank=True) for _ in range(2)]
    for layer in layers:
        layer.add_attended(slice(0, 2), table)
    layers[0].add_attended(slice(1, 2), table[:1, :2])
    assert layers[0].attended.tolist() == [[1, 1, 1], [2, 2, 1]]
    assert (table == 1).all() and (layers[1].attended == 1).all()


def test_text_alone_copies_no_table() -> None:
    layer = waiting()
    settle([layer])
    fork = layer.forked()
    none = torch.zeros(0, 3, dtype=torch.int32)
    fork.tallies.append(Summed(slice(0, 0), none, lambda: torch.tensor([1, 1])))
    settle([fork])
    assert fork.attended is layer.attended and fork.computed_pairs == 8


def test_whoever_asks_it_is_summed_once() -> None:
    made: list[Tally] = []

    def make() -> Tally:
        nothing = torch.zeros(0, 3)
        made.append(Tally([], 0, nothing.int(), nothing, lambda: torch.zeros(2)))
        return made[-1]

    later = Later(make, 1000)
    assert later.nbytes == 1000
    threads = [Thread(target=lambda: later.tally) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1 and later.tally is made[0] and later.nbytes == 0
