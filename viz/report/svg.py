"""Charts as inline SVG for the offline report: kilobytes where plotly.js takes four megabytes.

Colours are the palette's CSS variables, so a chart follows the page's theme. Each point has a
title, which browsers show on hover; the report's tables hold the same numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from viz.data.series import PARTS, Line, part_name
from viz.palette import DASH
from viz.report.markup import tag, text

WIDTH, HEIGHT = 640, 260
LEFT, RIGHT, TOP, BOTTOM = 44, 12, 12, 40
BAR_LEFT, BAR_STEP, BAR_ROOM = 84, 46, 130
_DASHES = {"solid": None, "dash": "8 5", "dot": "3 3", "dashdot": "8 4 2 4"}
Bars = dict[str, dict[str, float]]


def line_chart(lines: Sequence[Line], title: str, x_title: str, *, top: float = 1.0) -> str:
    """Lines on a scale from 0 to `top`, with a legend. `title` names it to readers."""
    xs = [x for line in lines for x in line.x] or [0.0]
    low, high = min(xs), max(max(xs), min(xs) + 1e-9)
    body = _grid(low, high, x_title, top)
    for line in lines:
        pairs = zip(line.x, line.y, strict=True)
        points = [(_x(x, low, high), _y(y / top), y) for x, y in pairs if y is not None]
        body += _polyline(line, points)
    return _figure(title, body, legend((line.name, line.role) for line in lines))


def bar_chart(rows: Bars, roles: dict[str, str], title: str) -> str:
    """Stacked bars of GFLOP, one a row, from FLOPs by part; `roles` gives each part's colour."""
    largest = max((sum(parts.values()) for parts in rows.values()), default=0.0) or 1.0
    scale = (WIDTH - BAR_LEFT - BAR_ROOM) / largest
    body = ""
    for index, (name, parts) in enumerate(rows.items()):
        top, total = TOP + BAR_STEP * index, sum(parts.values())
        body += _text(BAR_LEFT - 8, top + 22, name, "end") + _bar(name, parts, roles, top, scale)
        end = BAR_LEFT + scale * total + 8
        body += _text(end, top + 22, f"{total / 1e9:.3g} GFLOP", "start")
    shown = [part for part in PARTS if any(parts.get(part) for parts in rows.values())]
    caption = legend(((PARTS[part], roles[part]) for part in shown), thickness=10)
    return _figure(title, body, caption, height=TOP + BAR_STEP * len(rows))


def legend(entries: Iterable[tuple[str, str]], *, thickness: float = 2.2) -> str:
    """Names beside a sample of their line or, where thick, of their bar."""
    items = []
    for name, role in entries:
        rule = _rule(role, "M1 5H33", thickness)
        sample = tag("svg", rule, viewBox="0 0 34 10", class_="sample", aria_hidden="true")
        items.append(tag("li", sample, text(name)))
    return tag("ul", *items, class_="legend")


def _figure(title: str, body: str, caption: str, *, height: int = HEIGHT) -> str:
    box = f"0 0 {WIDTH} {height}"
    drawing = tag("svg", body, viewBox=box, role="img", aria_label=title)
    return tag("figure", tag("figcaption", text(title)), drawing, caption, class_="chart")


def _bar(name: str, parts: dict[str, float], roles: dict[str, str], top: int, scale: float) -> str:
    left, body = float(BAR_LEFT), ""
    for part, value in parts.items():
        tip = tag("title", text(f"{name}, {part_name(part)}: {value / 1e9:.3g} GFLOP"))
        place = {"x": f"{left:.1f}", "y": top, "width": f"{value * scale:.1f}", "height": 34}
        body += tag("rect", tip, class_="part", style=f"fill:var(--as-{roles[part]})", **place)
        if value * scale > 11 * len(PARTS[part]):
            body += _text(left + 8, top + 22, PARTS[part], "start", class_="inside")
        left += value * scale
    return body


def _polyline(line: Line, points: list[tuple[float, float, float]]) -> str:
    if not points:
        return ""
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y, _ in points)
    fill = f"fill:var(--as-{line.role})"
    dots = [
        tag(
            "circle",
            tag("title", text(f"{line.name}: {value:.3f}")),
            cx=f"{x:.1f}",
            cy=f"{y:.1f}",
            r=3.2,
            style=fill,
        )
        for x, y, value in points
    ]
    return _rule(line.role, path) + "".join(dots)


def _rule(role: str, path: str, thickness: float = 2.2) -> str:
    dash = _DASHES[DASH.get(role, "solid")] if thickness < 4 else None
    style = f"stroke:var(--as-{role});stroke-width:{thickness}"
    return tag("path", d=path, fill="none", stroke_dasharray=dash, style=style)


def _grid(low: float, high: float, x_title: str, top: float) -> str:
    body = _text((LEFT + WIDTH) / 2, HEIGHT - 4, x_title, "middle")
    for share in (0, 0.25, 0.5, 0.75, 1):
        body += tag("path", class_="rule", d=f"M{LEFT} {_y(share):.1f}H{WIDTH - RIGHT}")
        body += _text(LEFT - 8, _y(share) + 4, f"{share * top:.3g}", "end")
    for at in _ticks(low, high):
        body += _text(_x(at, low, high), HEIGHT - 22, f"{at:g}", "middle")
    return body


def _ticks(low: float, high: float) -> list[float]:
    """About eight round values from `low` to `high`."""
    steps = (0.1, 0.2, 0.25, 0.5, 1, 2, 4, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
    step = next((s for s in steps if (high - low) / s <= 8), high - low)
    first = -(-low // step)
    count = int((high - first * step) / step + 1e-6) + 1
    return [round((first + i) * step, 6) for i in range(count)]


def _x(value: float, low: float, high: float) -> float:
    return LEFT + 8 + (WIDTH - LEFT - RIGHT - 16) * (value - low) / (high - low)


def _y(share: float) -> float:
    return TOP + (HEIGHT - TOP - BOTTOM) * (1 - min(max(share, 0), 1))


def _text(x: float, y: float, words: str, anchor: str, class_: str | None = None) -> str:
    place = {"x": f"{x:.1f}", "y": f"{y:.1f}"}
    return tag("text", text(words), text_anchor=anchor, class_=class_, **place)
