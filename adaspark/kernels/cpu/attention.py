"""AdaS-Attn on the CPU by compiled kernels: the same signature as `backend.sparse_attention`.

Exact for every rule; top-p is chosen inside the kernels, other rules beforehand. Axes as in
`attention.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor

from adaspark.kernels.cpu import tile_attention
from adaspark.kernels.cpu.simd import LANES
from adaspark.kernels.cpu.state import Choices, Floats, Ints, Layer, Tables
from adaspark.kernels.cpu.tables import CpuPlan
from adaspark.kernels.cpu.tile_attention import ATTEND, CHOOSE, REPORT, TALLY
from adaspark.method import threads
from adaspark.method.attention import Choice, Observer, cube_means, decide
from adaspark.method.interruption import counted_by
from adaspark.method.rules import Rule, top_p
from adaspark.method.sequence import SequenceMap
from adaspark.method.tally import TallyObserver

_plans: WeakKeyDictionary[SequenceMap, dict[tuple[int, ...], CpuPlan]] = WeakKeyDictionary()
"""By sequence, for (H, G, S): made once for all layers."""
CHOICE_BYTES = 2**26
"""Bounds the reported choices, or the sums of them, that are in memory together."""


def sparse_attention(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    sequence: SequenceMap,
    *,
    rule: Rule,
    scale: float,
    means: Tensor | None = None,
    observe: Observer | None = None,
    choice_bytes: int = CHOICE_BYTES,
) -> Tensor:
    """AdaS-Attn for the last queries of a sequence, [H, S, D] in and out, without gradients.

    `choice_bytes` bounds the reported choices, or the sums of them, that are in memory together.
    """
    means = cube_means(keys, sequence) if means is None else means
    plan = _plan(sequence, queries, len(keys))
    layer = _layer(plan.tables, queries, keys, values, means)

    def run(part: CpuPlan, choices: Choices, mode: int) -> Ints:
        return _attend(part, layer, choices, rule, scale, mode)

    if not rule.is_plain_nucleus:
        start = sequence.length - queries.shape[1]
        for part in plan.parts(choice_bytes):
            chosen = [
                decide(queries, segment, means, start, rule=rule, scale=scale)[1]
                for segment in part.segments
            ]
            kept = torch.cat([choice.kept.flatten() for choice in chosen])
            memory = Choices(kept=kept.view(torch.uint8).numpy())
            _report(observe, part, chosen, run(part, memory, ATTEND))
    elif observe is None:
        run(plan.merged, Choices(), CHOOSE | ATTEND)
    else:
        _tell(observe, plan, run, CHOOSE | ATTEND, choice_bytes)
    return torch.from_numpy(layer.output).transpose(0, 1).to(queries.dtype)


def report_dense(
    queries: Tensor,
    means: Tensor,
    sequence: SequenceMap,
    observer: TallyObserver,
    *,
    scale: float,
    choice_bytes: int = CHOICE_BYTES,
) -> None:
    """Report the last queries of a sequence, [H, S, D], that attend to whatever they see: `means`
    fp32 [G, C, D] say how evenly they would.
    """
    plan, layer = _plan(sequence, queries, len(means)), _keyless(queries, means)

    def run(part: CpuPlan, choices: Choices, mode: int) -> Ints:
        return _attend(part, layer, choices, top_p(1.0), scale, mode)

    _tell(observer, plan, run, CHOOSE, choice_bytes)


def choose_alone(
    queries: Tensor, keys: Tensor, sequence: SequenceMap, *, rule: Rule, scale: float
) -> None:
    """What of `sparse_attention` chooses by top-p, and no more: the bench times it."""
    plan = _plan(sequence, queries, len(keys)).merged
    layer = _keyless(queries, cube_means(keys, sequence))
    _attend(plan, layer, Choices(), rule, scale, CHOOSE)


def _keyless(queries: Tensor, means: Tensor) -> Layer:
    """A layer in which nothing is attended to."""
    none = np.empty((len(means), 0), np.float32)
    asked, known = _array(queries.transpose(0, 1)), _array(means).reshape(len(means), -1)
    return Layer(asked, known, none, none, np.empty((0, 0, 0), np.float32))


def _tell(
    observe: Observer,
    plan: CpuPlan,
    run: Callable[[CpuPlan, Choices, int], Ints],
    mode: int,
    choice_bytes: int,
) -> None:
    """Run a plan and tell what was chosen: in sums, where there is video and they are enough."""
    tallying = observe if isinstance(observe, TallyObserver) else None
    for part in plan.parts(choice_bytes, tallied=tallying is not None):
        if tallying is not None and part.videos:
            sums = part.sums()
            tallying.add(part.tally(sums, run(part.merged, sums, mode | TALLY)))
            continue
        memory = part.memory()
        pairs = run(part, memory, mode | REPORT)
        written = part.by_segment(memory.probs, memory.kept)
        found = zip(written, part.entropies(memory), strict=True)
        _report(observe, part, [Choice(*of, entropy=nats) for of, nats in found], pairs)


def _attend(
    part: CpuPlan, layer: Layer, choices: Choices, rule: Rule, scale: float, mode: int
) -> Ints:
    """The pairs of each tile, int64 [t, G, 2]: products, and keys of cubes that are attended to."""
    pairs = np.empty((len(part.tables.tiles), len(layer.means), 2), np.int64)
    counter = np.zeros(1, np.int64)
    given = (part.tables, layer, choices, *map(float, (*rule.amounts, scale)), mode)
    with counted_by(counter):
        threads.together(lambda: tile_attention.attend(*given, pairs, counter))
    return pairs


def _report(observe: Observer | None, part: CpuPlan, chosen: list[Choice], pairs: Ints) -> None:
    if observe is not None:
        executed = part.executed_by_segment(pairs)
        for segment, choice, count in zip(part.segments, chosen, executed, strict=True):
            observe(segment, replace(choice, executed_pairs=count))


def _plan(sequence: SequenceMap, queries: Tensor, groups: int) -> CpuPlan:
    heads, count, _ = queries.shape
    known = _plans.setdefault(sequence, {})
    if (heads, groups, count) not in known:
        start = sequence.length - count
        known[heads, groups, count] = CpuPlan.build(sequence, start, heads, groups)
    return known[heads, groups, count]


def _layer(tables: Tables, queries: Tensor, keys: Tensor, values: Tensor, means: Tensor) -> Layer:
    """The tensors as the kernels read them, keys and values packed into panels."""
    groups, _, width = keys.shape
    slots = len(tables.positions)
    padded = -(-width // LANES) * LANES
    layer = Layer(
        queries=_array(queries.transpose(0, 1)),
        means=_array(means).reshape(groups, -1),
        keys=torch.empty(groups, slots * width).numpy(),
        values=torch.zeros(groups, slots * padded).numpy(),
        output=torch.zeros(queries.shape[1], len(queries), width).numpy(),
    )
    given, counter = (_array(keys), _array(values)), np.zeros(1, np.int64)
    threads.together(lambda: tile_attention.pack(*given, tables, layer, counter))
    return layer


def _array(tensor: Tensor) -> Floats:
    array: Floats = tensor.detach().float().contiguous().numpy()
    return array


def try_one() -> None:
    """Compile everything on the smallest problem."""
    sequence = SequenceMap.build(torch.ones(8).bool(), [(2, 2, 2)], (1, 2, 2))
    few = torch.ones(1, 8, 1)
    sparse_attention(few, few, few, sequence, rule=top_p(0.5), scale=1.0)
