"""Questions about what is in a scene: needles, look-alikes, counts, the most common, the absent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from adaspark.mini.questions.question import NONE, Asker, Question
from adaspark.mini.world.vocabulary import COLORS, SHAPES


def needle(ask: Asker) -> Question | None:
    """The colour of a shape or the shape of a colour; the scene's needle, if it has one."""
    by_shape = ask.rng.random() < 0.5
    wanted = ask.scene.needle
    index = ask.pick(
        lambda i: wanted in (None, i) and (_plain_shape(ask, i) if by_shape else ask.own_color(i))
    )
    if index is None:
        return None
    event = ask.scene.events[index]
    if by_shape:
        return ask.question("needle", "color", event.color, [index], shape=event.shape)
    return ask.question("needle", "shape", event.shape, [index], color=event.color)


def _plain_shape(ask: Asker, index: int) -> bool:
    return ask.own_shape(index) and ask.scene.events[index].turns is None


def lookalike(ask: Asker) -> Question | None:
    """The colour of the striped one, or of the solid one, if its shape comes in both fills."""
    events = ask.scene.events
    index = ask.pick(lambda i: not ask.own_shape(i) and ask.own_fill(i) and events[i].turns is None)
    if index is None:
        return None
    event = events[index]
    same = [i for i, e in enumerate(events) if e.shape == event.shape and i != index]
    looks = f"{event.fill} {event.shape}"
    return ask.question("lookalike", "color", event.color, [index, *same], shape=looks)


def absent(ask: Asker) -> Question | None:
    """A needle, or a fill of a shape, that is not there."""
    shapes, colors, looks = ask.missing()
    pools = [("color", shapes), ("shape", colors), ("color", looks)]
    pools = [pool for pool in pools if pool[1]]
    if not pools:
        return None
    form, values = ask.rng.choice(pools)
    value = ask.rng.choice(values)
    if form == "color":
        return ask.question("absent", form, NONE, shape=value)
    return ask.question("absent", form, NONE, color=value)


def count(ask: Asker) -> Question | None:
    """How many objects there are in all, or of one shape or colour, none included."""
    everything = range(len(ask.scene.events))
    if ask.rng.random() < 0.5:
        return ask.question("count", "count_all", str(len(everything)), everything)
    plurals = {f"{shape}es" if shape == "cross" else f"{shape}s": shape for shape in SHAPES}
    if not ask.turns:
        plurals |= {f"{color} objects": color for color in COLORS}
    counted = {
        plural: [i for i in everything if value in (ask.shapes[i], ask.colors[i])]
        for plural, value in plurals.items()
    }
    unused = [plural for plural, found in counted.items() if not found]
    repeated = [plural for plural, found in counted.items() if len(found) > 1]
    used = [plural for plural, found in counted.items() if found]
    # Repeated ones twice: otherwise nearly every answer would be 0 or 1.
    plural = ask.rng.choice(ask.rng.choice([p for p in (unused, repeated, repeated, used) if p]))
    found = counted[plural]
    return ask.question("count", "count_some", str(len(found)), found, plural=plural)


def aggregate(ask: Asker) -> Question | None:
    """The most common colour or shape, if one is ahead of all others."""
    kinds = {"shape": ask.shapes} if ask.turns else {"shape": ask.shapes, "color": ask.colors}
    leaders = {kind: _leader(values) for kind, values in kinds.items()}
    fits = [(kind, leader) for kind, leader in leaders.items() if leader is not None]
    if not fits:
        return None
    kind, leader = ask.rng.choice(fits)
    everything = range(len(ask.scene.events))
    return ask.question("aggregate", "most", leader, everything, kind=kind)


def _leader(values: Sequence[str]) -> str | None:
    """The value that comes most often, None if two share the lead or there is only one."""
    ranked = Counter(values).most_common()
    return ranked[0][0] if len(ranked) > 1 and ranked[0][1] > ranked[1][1] else None


def exists(ask: Asker) -> Question | None:
    """Yes or no; half of the no's name a colour and a shape that are there, but not together."""
    index = ask.pick(lambda i: ask.scene.events[i].turns is None)
    if index is None:
        return None
    event = ask.scene.events[index]
    looks = f"{event.color} {event.shape}"
    if ask.rng.random() < 0.5:
        named = ask.rng.choice((event.shape, f"{event.color} object", looks))
        return ask.question("exists", "exists", "yes", [index], ref=named)
    seen = {(color, e.shape) for e in ask.scene.events for color in (e.color, e.turns)}
    pairs = [f"{c} {s}" for c in ask.colors for s in ask.shapes if (c, s) not in seen]
    shapes, colors, _ = ask.missing()
    names = [*shapes, *(f"{color} object" for color in colors)]
    pools = [pool for pool in (pairs, names) if pool]
    if not pools:
        return None
    return ask.question("exists", "exists", "no", ref=ask.rng.choice(ask.rng.choice(pools)))
