"""Charts and pages of evaluations: nothing cut, nothing too small, nothing from outside."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from matplotlib.text import Text
from PIL import Image

from adaspark.eval.report import charts, stats
from adaspark.eval.report.charts.frames import outline
from adaspark.eval.report.charts.fronts import front
from adaspark.eval.report.charts.style import LOOKS, looks, spread
from adaspark.eval.report.figure import Figure
from adaspark.eval.report.page import MAX_BYTES, page, saved_page, write_page
from adaspark.eval.report.results import LABELS, Results
from adaspark.eval.report.tables import Table

NAMES = ["dense", "AdaSpark", "top-k", "uniform", "random", "recent", "oracle"]
FAMILIES = ["needle", "lookalike", "order", "count", "motion", "spatial", "grounding"]


def bars(first: float) -> bytes:
    values = [stats.wilson(9, 10), 0.4, None, stats.wilson(10, 10), 0.0, 1.0, 0.5]
    series = {"dense": [first, *values[1:]], "AdaSpark": values, "a third": values}
    return charts.bars_with_intervals(
        FAMILIES, series, title="Bars", ylabel="exact answers", chance=[0.5] * 7, note="Note."
    )


def heatmaps(first: float) -> bytes:
    table = np.linspace(0, 1, 30).reshape(5, 6)
    panels = {name: table.copy() for name in [*NAMES[:5], "hit rate, AdaSpark"]}
    panels["dense"][0, 0], panels["dense"][1, 1] = first, np.nan
    rows, columns = [f"{d} %" for d in range(0, 125, 25)], [str(2**n) for n in range(4, 10)]
    return charts.heatmap_panels(panels, rows, columns, title="Heat maps", trained=4)


def pareto(first: float) -> bytes:
    points = [(0.3, first), (0.5, stats.wilson(8, 10)), (0.7, 0.7), (0.9, None), (1.0, 0.9)]
    series = {"AdaSpark": points, "frame sampling": points[1:], "nothing known": [(0.5, None)]}
    return charts.pareto(series, title="Front", dense=(1.0, 0.95))


def lines(first: float) -> bytes:
    values = [stats.wilson(5, 10), 0.6, None, 0.9]
    series = {name: [*values[:3], 0.9 + 0.01 * i] for i, name in enumerate(NAMES)}
    series["dense"][0] = first
    return charts.lines(
        [8, 64, 128, 512], series, title="Lines", xlabel="tokens a cube", ylabel="recall",
        percent=True, log_x=True, rule=(0.95, "dense"), note="Note.",
    )  # fmt: skip


def concentration(first: float) -> bytes:
    shares = {0.5: [first, 0.02, 0.01], 0.9: [0.2, 0.3, None], 0.95: [0.4, 0.5, 0.31]}
    return charts.concentration(shares, title="Concentration")


def layer_grid(first: float) -> bytes:
    panels = {f: {"video": [0.5, 0.6], "question": [0.1, stats.wilson(1, 2)]} for f in FAMILIES}
    panels["needle"]["answer"] = [first, 0.2]
    return charts.layer_grid(panels, title="Layers", ylabel="kept cubes")


def frames(first: float) -> bytes:
    pixels = np.full((6, 112, 224, 3), 90, np.uint8)
    pixels[0, :50] = round(200 * first)
    chosen = np.zeros((6, 2, 4), bool)
    chosen[:, 0, 1] = True
    truth = np.zeros((6, 4, 8), bool)
    truth[:, 1, 3] = True
    names = [f"{n / 2:.1f} s" for n in range(6)]
    cases = [
        charts.Case("Hit: “what color is the circle ?”", pixels, names, chosen, truth),
        charts.Case("Miss, shorter", pixels[:4], names[:4], ~chosen[:4]),
    ]
    return charts.case_frames(cases, title="Cases", note="Picked by rule.")


KINDS: list[Callable[[float], bytes]] = [
    bars, heatmaps, pareto, lines, concentration, layer_grid, frames,
]  # fmt: skip


@pytest.mark.few(2)
@pytest.mark.parametrize("draw", KINDS)
def test_a_chart_shows_its_numbers_and_is_small(draw: Callable[[float], bytes]) -> None:
    drawn, other = draw(0.25), draw(0.5)
    picture = Image.open(io.BytesIO(drawn))
    assert picture.width == 1660 and 400 < picture.height < 2400
    assert len(drawn) < 150_000
    assert draw(0.25) == drawn, "the same numbers are the same picture"
    assert other != drawn


@pytest.mark.few(2)
@pytest.mark.parametrize("draw", KINDS)
def test_no_text_is_cut_too_small_or_on_other_text(
    draw: Callable[[float], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: dict[Text, Any] = {}
    draw_text = Text.draw

    def spy(text: Text, renderer: Any) -> None:
        draw_text(text, renderer)
        if text.get_visible() and text.get_text().strip():
            drawn[text] = text.get_window_extent(renderer)

    monkeypatch.setattr(Text, "draw", spy)
    height = Image.open(io.BytesIO(draw(0.25))).height
    assert len(drawn) > 5
    for text, box in drawn.items():
        assert text.get_fontsize() >= 9
        assert min(box.x0, box.y0) > -2 and box.x1 < 1662 and box.y1 < height + 2, text.get_text()
    for (a, first), (b, second) in itertools.combinations(drawn.items(), 2):
        over = min(first.x1, second.x1) - max(first.x0, second.x0)
        under = min(first.y1, second.y1) - max(first.y0, second.y0)
        assert min(over, under) < 4, f"{a.get_text()!r} lies on {b.get_text()!r}"


@pytest.mark.parametrize("names", [["AdaSpark", "both", "new", "dense"], NAMES, FAMILIES])
def test_series_differ_without_colour_too(names: list[str]) -> None:
    found = looks(names)
    assert list(found) == names
    assert len({look.marker for look in found.values()}) == len(names)
    assert len({look.colour for look in found.values()}) == len(names)
    assert len({look.hatch for look in found.values()}) == len(names)


def test_a_known_name_keeps_its_look_and_too_many_are_refused() -> None:
    assert looks(["x", "AdaSpark"])["AdaSpark"] == looks(["AdaSpark", "y", "z"])["AdaSpark"]
    with pytest.raises(ValueError, match="told apart"):
        looks([str(n) for n in range(len(LOOKS) + 1)])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.floats(0.01, 0.2))
def test_labels_are_pushed_apart_in_order_and_stay_inside(wanted: list[float], gap: float) -> None:
    placed = spread(wanted, gap)
    gap = min(gap, 1 / max(1, len(wanted) - 1))
    order = np.argsort(wanted, kind="stable")
    steps = np.diff(np.array(placed)[order])
    assert (steps >= gap - 1e-9).all()
    assert min(placed) >= -1e-9 and max(placed) <= 1 + 1e-9
    if (np.diff(np.array(wanted)[order]) >= gap).all():
        assert placed == pytest.approx(wanted)


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=12))
def test_the_front_holds_what_nothing_beats(points: list[tuple[int, int]]) -> None:
    cost, value = np.array(points, np.float64).T
    best = front(cost, value)
    beaten = [
        any(c <= cost[i] and v >= value[i] and (c, v) != (cost[i], value[i]) for c, v in points)
        for i in range(len(points))
    ]
    assert not any(beaten[i] for i in best)
    assert {points[i] for i in best} == {p for p, b in zip(points, beaten, strict=True) if not b}
    assert len({points[i] for i in best}) == len(best)
    assert (np.diff(cost[best]) > 0).all() and (np.diff(value[best]) > 0).all()


def test_a_setting_without_a_value_is_on_no_front() -> None:
    nothing = np.array([np.nan])
    assert front(np.array([0.1]), nothing).tolist() == []


@given(arrays(bool, st.tuples(st.integers(1, 6), st.integers(1, 6))))
def test_an_outline_goes_once_round_every_region(mask: np.ndarray) -> None:
    segments = outline(mask)
    touching = (mask[1:] & mask[:-1]).sum() + (mask[:, 1:] & mask[:, :-1]).sum()
    assert len(segments) == 4 * mask.sum() - 2 * touching
    ends, counts = np.unique(segments.reshape(-1, 2), axis=0, return_counts=True)
    assert (counts % 2 == 0).all(), "borders are closed"
    assert not len(ends) or (ends.min() >= 0 and ends.max() <= 1)


class Reader(HTMLParser):
    """Tags and attributes in order; fails where an element is not closed."""

    EMPTY = ("meta", "img")

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def all(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.found if tag == name]


NASTY = "<script>alert(\"x\")</script> & 'quoted'"


def results(folder: Path, png: bytes = b"png", **changes: Any) -> Results:
    setting = {"processor": NASTY, "accelerator": "none", "torch": "2", "commit": "abc"}
    made = Results(folder, NASTY, {"clips": NASTY}, **{"setting": setting, **changes})
    made.add(1, score=1.0)
    row = [NASTY, (0.975, 0.95, 0.988), None]
    table = Table(NASTY, {NASTY: "text", "right": "percent", "n": "count"}, [row], NASTY)
    made.save([table], [Figure("toy", png, NASTY, NASTY)])
    return made


def test_a_page_needs_nothing_and_escapes_everything(tmp_path: Path) -> None:
    html = page(results(tmp_path), title=NASTY, paper=NASTY, seen=[NASTY], failed=[NASTY])
    read = Reader(html)
    assert {"script", "link", "a", "iframe"}.isdisjoint(tag for tag, _ in read.found)
    assert "http://" not in html and "https://" not in html and "url(" not in html
    assert all(str(image["src"]).startswith("data:") for image in read.all("img"))
    assert [image["alt"] for image in read.all("img")] == [NASTY]
    assert len(read.all("h1")) == len(read.all("caption")) == 1
    assert [cell["scope"] for cell in read.all("th")] == ["col", "col", "col", "row"]
    assert [cell.get("class") for cell in read.all("td")] == ["number", "number"]


def test_a_page_says_what_failed_how_to_run_it_and_follows_the_theme(tmp_path: Path) -> None:
    html = page(results(tmp_path), title="T", paper="Fig. 3", failed=["It lost 4 points."])
    assert "What failed" in html and "It lost 4 points." in html
    assert "What is seen" not in html
    assert "The same question as Fig. 3 of the AdaSpark paper, at small scale." in html
    assert "How to run it again" in html and "abc" in html
    assert "prefers-color-scheme: dark" in html


@pytest.mark.parametrize("label", LABELS)
def test_only_a_small_model_s_page_speaks_of_small_scale(tmp_path: Path, label: Any) -> None:
    html = page(results(tmp_path, label=label), title="T")
    assert LABELS[label] in html
    assert ("at small scale" in html) == (label == "S")


def test_a_page_is_written_whole_and_not_too_large(tmp_path: Path) -> None:
    made = results(tmp_path)
    path = write_page(made, title="T", seen=["It won."])
    assert path.read_text("utf-8") == page(made, title="T", seen=["It won."])
    assert saved_page(made.folder) == ("T", path.read_text("utf-8"))
    with pytest.raises(ValueError, match="at most 1,500,000 bytes"):
        write_page(results(tmp_path / "large", png=bytes(MAX_BYTES)), title="T")
