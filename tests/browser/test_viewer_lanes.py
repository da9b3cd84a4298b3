"""Lanes and colours of the viewer: what a layer and a slice hold, named where they are."""

from __future__ import annotations

import numpy as np
import pytest
from playwright.sync_api import Page, expect
from trace_factory import make_trace
from viewer_page import press, show

from adaspark.trace.trace import Trace
from viz.data.statistics import TraceView
from viz.palette import cividis

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def trace() -> Trace:
    return make_trace(
        grids=((8, 6, 10),), cube=(2, 4, 4), layers=4, answer=(" red", " and", " red")
    )


def test_colours_name_where_they_end(page: Page, trace: Trace) -> None:
    show(page, trace)
    press(page, "Heat")
    view = TraceView(trace)
    ends = [robust_top(view.kept("question")[0]), robust_top(view.by_slice(view.kept("question")))]
    legend, scale = page.locator("#viewer .legend"), page.locator("#viewer .lane-scale")
    expect(legend).to_contain_text(f"0 to {ends[0]} % of the question's words attend (98 %")
    expect(scale).to_have_text(f"0≥ {ends[1]} %")
    press(page, "Colours to 100 %")
    expect(legend).to_contain_text("0 to 100 % of the question's words attend")
    expect(scale).to_have_text("0100 %")


def robust_top(shares: np.ndarray) -> int:
    """The whole percent that 98 % of the shares above 0 do not pass."""
    above = np.sort(shares[shares > 0])
    return int(np.ceil(100 * above[int(np.ceil(0.98 * len(above))) - 1] - 0.2))


def test_lanes_go_to_the_layer_and_slice_clicked(page: Page, trace: Trace) -> None:
    show(page, trace)
    box = page.locator("#viewer .lanes").bounding_box()
    assert box
    at = {"x": box["width"] * 6.5 / 8, "y": box["height"] * 1.5 / 4}
    page.locator("#viewer .lanes").click(position=at)  # type: ignore[arg-type]
    expect(page.locator("#viewer")).to_have_attribute("data-slice", "6")
    expect(page.locator("#viewer")).to_have_attribute("data-layer", "2")


def test_lanes_are_coloured_by_the_share_of_each_layer_and_slice(page: Page, trace: Trace) -> None:
    show(page, trace)
    page.evaluate("viewer.set({full: true})")
    share = TraceView(trace).by_slice(TraceView(trace).kept("question"))
    lanes = page.locator("#viewer .lanes").bounding_box()
    assert lanes
    reading = """([x, y]) => {
        const lanes = document.querySelector('#viewer .lanes');
        const copy = new OffscreenCanvas(lanes.width, lanes.height).getContext('2d');
        copy.drawImage(lanes, 0, 0);
        const at = [x * lanes.width, y * lanes.height].map(Math.floor);
        return [...copy.getImageData(...at, 1, 1).data.slice(0, 3)];
    }"""
    for layer, slice_ in ((1, 2), (3, 7)):
        place = {"x": (slice_ + 0.5) / 8 * lanes["width"], "y": (3.5 - layer) / 4 * lanes["height"]}
        page.locator("#viewer .lanes").hover(position=place)  # type: ignore[arg-type]
        tip = f"Layer {layer}, slice {slice_}: {100 * share[layer, slice_]:.0f} %"
        expect(page.locator("#viewer .lanes")).to_have_attribute("title", tip)
        pixel = page.evaluate(reading, [(slice_ + 0.5) / 8, (3 - layer + 0.4) / 4])
        assert np.abs(np.array(pixel) - cividis(share[layer, slice_]).astype(int)).max() <= 3


@pytest.mark.parametrize("layers", [1, 4, 7])
def test_each_layer_s_name_stands_beside_its_lane(page: Page, layers: int) -> None:
    show(page, make_trace(layers=layers))
    lanes = page.locator("#viewer .lanes").bounding_box()
    names = page.locator("#viewer .lane-layers span")
    assert lanes and names.all_text_contents() == [str(n) for n in reversed(range(layers))]
    for row, name in enumerate(names.all()):
        box = name.bounding_box()
        assert box
        middle = lanes["y"] + (row + 0.5) * lanes["height"] / layers
        assert abs(box["y"] + box["height"] / 2 - middle) < 2
