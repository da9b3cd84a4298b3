"""The method, slow and obvious: the oracle of every parity test.

Query by query, head by head, in float64: the softmax over q . mean key of the cubes that hold a
visible key, but for the query's own; the smallest set of them whose mass reaches p, heaviest first,
ties to the lower index; exact attention to their visible tokens, to the own cube's and to the text.
No code is shared with the fast path except the token maps.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from adaspark.method.attention import Choice, Observer
from adaspark.method.rules import Rule
from adaspark.method.sequence import SequenceMap
from adaspark.method.token_positions import TokenPositions


def nucleus(mass: list[float], p: float, candidates: list[int]) -> set[int]:
    """Sort by mass, ties to the lower index; keep until p is reached, crossing included."""
    if p >= 1:
        return set(candidates)
    kept: set[int] = set()
    total = 0.0
    for index in sorted(candidates, key=lambda i: (-mass[i], i)):
        if total >= p:
            break
        kept.add(index)
        total += mass[index]
    return kept


def keep(mass: list[float], candidates: list[int], rule: Rule, row: int) -> set[int]:
    """What any rule keeps of ascending candidates; `row` tells `random` one query from another."""
    on = {cube for cube, is_on in rule.forced if is_on}
    off = {cube for cube, is_on in rule.forced if not is_on}
    return (_keep_by_rule(mass, candidates, rule, row) | on & set(candidates)) - off


def _keep_by_rule(mass: list[float], candidates: list[int], rule: Rule, row: int) -> set[int]:
    if rule.name == "top_p":
        return nucleus(mass, rule.amount, candidates)
    total = len(candidates)
    count = math.ceil(rule.amount * total - 1e-9)
    if rule.name == "top_k":
        return set(sorted(candidates, key=lambda i: (-mass[i], i))[:count])
    if rule.name == "recent":
        return set(candidates[total - count :])
    if rule.name == "uniform":
        steps = [rank * count // max(1, total) for rank in range(total + 1)]
        return {c for rank, c in enumerate(candidates) if steps[rank + 1] > steps[rank]}
    return set(sorted(candidates, key=lambda i: (-drawn(row, i), i))[:count])


def drawn(row: int, column: int) -> int:
    """The number that `random` draws: 32-bit integer mixing."""
    mixed = (row * 0x9E3779B1 + column * 0x85EBCA6B + 0x27D4EB2F) % 2**32
    mixed = (mixed ^ (mixed >> 15)) * 0x2C1B3C6D % 2**32
    mixed = (mixed ^ (mixed >> 12)) * 0x297A2D39
    return (mixed >> 7) % 2**24


def choose(
    query: Tensor,
    means: Tensor,
    candidates: list[int],
    *,
    rule: Rule,
    scale: float,
    position: int = 0,
) -> tuple[list[float], set[int]]:
    """Probabilities over cubes and the kept set of one query [D] of one head; means [C, D]."""
    mass = [0.0] * means.shape[0]
    if candidates:
        scores = means[candidates].double() @ query.double() * scale
        for cube, probability in zip(candidates, scores.softmax(0).tolist(), strict=True):
            mass[cube] = probability
    return mass, keep(mass, candidates, rule, position)


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
) -> Tensor:
    """The same signature and result as `adaspark.kernels.backend.sparse_attention`."""
    del means
    layout = sequence.layout
    share = queries.shape[0] // keys.shape[0]
    start = sequence.length - queries.shape[1]
    video = sequence.video_positions.tolist()
    text = sequence.text_positions.tolist()
    cube_from_token = layout.cube_from_token.tolist()
    tokens_from_cube: list[list[int]] = [[] for _ in range(layout.cubes)]
    for token, cube in enumerate(cube_from_token):
        tokens_from_cube[cube].append(token)
    means = torch.zeros(keys.shape[0], layout.cubes, keys.shape[2])
    for cube, tokens in enumerate(tokens_from_cube):
        means[:, cube] = keys[:, [video[t] for t in tokens]].float().mean(1)
    output = torch.zeros_like(queries)
    for segment in sequence.segments(start):
        probs = torch.zeros(queries.shape[0], len(segment.positions), segment.end_cube)
        kept = torch.zeros_like(probs, dtype=torch.bool)
        for row, position in enumerate(segment.positions.tolist()):
            own = cube_from_token[video.index(position)] if position in video else None
            visible = {p for p in video + text if p <= position}
            candidates = [
                cube
                for cube, tokens in enumerate(tokens_from_cube)
                if cube != own and any(video[t] in visible for t in tokens)
            ]
            for head in range(queries.shape[0]):
                query = queries[head, position - start]
                mass, chosen = choose(
                    query,
                    means[head // share],
                    candidates,
                    rule=rule.of_rows(own is None),
                    scale=scale,
                    position=position,
                )
                cubes = chosen | ({own} if own is not None else set())
                allowed = {video[t] for cube in cubes for t in tokens_from_cube[cube]} | set(text)
                index = sorted(allowed & visible)
                weights = (keys[head // share, index].double() @ query.double() * scale).softmax(0)
                mixed = weights @ values[head // share, index].double()
                output[head, position - start] = mixed.to(queries.dtype)
                probs[head, row] = torch.tensor(mass[: segment.end_cube])
                kept[head, row, sorted(chosen)] = True
        if observe is not None:
            observe(segment, Choice(probs, kept))
    return output


def sparse_ffn(
    hidden: Tensor,
    norms: Tensor,
    sequence: TokenPositions,
    branch: Callable[[Tensor], Tensor],
    *,
    rule: Rule,
    skipped: str = "mean",
) -> tuple[Tensor, Tensor, Tensor]:
    """The signature and result of the backend's `sparse_ffn`; every token's FFN is computed."""
    layout = sequence.layout
    full = branch(hidden)
    output = full.clone()
    kept = torch.zeros(layout.tokens, dtype=torch.bool)
    weights = torch.zeros(layout.tokens)
    for cube in range(layout.cubes):
        tokens = (layout.cube_from_token == cube).nonzero().flatten().tolist()
        places = sequence.video_positions[tokens]
        mass = (norms[places].double() / norms[places].double().sum()).tolist()
        chosen = keep(mass, list(range(len(tokens))), rule, cube)
        chosen = chosen or {max(range(len(tokens)), key=lambda i: (mass[i], -i))}
        active = [places[i] for i in sorted(chosen)]
        mean = full[torch.stack(active)].double().mean(0).to(full.dtype)
        for i, token in enumerate(tokens):
            kept[token] = i in chosen
            weights[token] = mass[i]
            if i not in chosen:
                output[places[i]] = mean if skipped == "mean" else 0.0
    return output, kept, weights
