"""The overlay over a playing video: right place in the picture, right time in the clip."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from clips import is_upright, write_clip
from coded_clip import grey_of, number_of, write_coded_clip
from long import some_of
from PIL import Image
from playwright.sync_api import Browser, Page, expect
from trace_factory import make_trace
from viewer_page import alphas_at, cube_middles, open_viewer, show, snapshot, surely_kept

from adaspark.trace.trace import Trace
from viz.data.statistics import TraceView
from viz.report.page import report

pytestmark = pytest.mark.browser
FRAME_ON_SCREEN = """() => {
    const video = document.querySelector('#viewer video');
    const canvas = new OffscreenCanvas(8, 8), context = canvas.getContext('2d');
    context.drawImage(video, 0, 0, 8, 8);
    return context.getImageData(4, 4, 1, 1).data[1];
}"""
SETTLED = "!document.querySelector('#viewer video').seeking"


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_coded_clip(tmp_path_factory.mktemp("clips") / "coded.mp4", frames=24, fps=8)


def uneven_trace() -> Trace:
    """12 slices whose frames are not evenly spread over the 24 frames (3 s) of the clip."""
    trace = make_trace(grids=((12, 4, 6),), cube=(1, 2, 2), layers=2, fps=8.0)
    numbers = np.array(
        [0, 1, 2, 3, 4, 5, 6, 8, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 23, 23]
    )
    trace.frame_times = numbers.reshape(12, 2) / 8
    return trace


def frame_on_screen(page: Page) -> int:
    page.wait_for_function(SETTLED)
    for _ in range(50):  # a seek ends before its frame is painted: on a busy machine long before
        page.wait_for_timeout(60)
        number = number_of(page.evaluate(FRAME_ON_SCREEN))
        if number >= 0:  # not yet anything, which reads as black
            break
    return number


def test_the_slice_is_that_of_the_frame_on_screen_after_any_seek(page: Page, clip: Path) -> None:
    trace = uneven_trace()
    show(page, trace, clip=clip)
    firsts = np.rint(trace.frame_times[:, 0] * 8)
    for time in (0.05, 0.3, 0.8, 0.99, 1.13, 1.3, 2.2, 2.8, 1.0, 0.13):
        page.get_by_role("slider", name="Seek").evaluate(
            "(input, time) => { input.value = time; input.dispatchEvent(new Event('input')); }",
            time,
        )
        number = frame_on_screen(page)
        assert number == int(time * 8)
        assert snapshot(page)["slice"] == np.flatnonzero(firsts <= number)[-1]


def test_stepping_slices_shows_each_slices_first_frame(page: Page, clip: Path) -> None:
    trace = uneven_trace()
    show(page, trace, clip=clip)
    step = page.get_by_role("button", name="Next slice")
    for slice_ in range(1, 11):
        step.click()
        expect(page.locator("#viewer")).to_have_attribute("data-slice", str(slice_))
        assert frame_on_screen(page) == round(trace.frame_times[slice_, 0] * 8)


def test_a_frame_of_an_earlier_seek_that_is_presented_late_changes_nothing(
    page: Page, clip: Path
) -> None:
    page.evaluate("""async () => {
        const { mount } = await import("viz/mount.js");
        const prototype = HTMLVideoElement.prototype;
        prototype.requestVideoFrameCallback = (present) => { window.present = present; };
        document.getElementById('viewer').remove();
        window.viewer = mount(document.getElementById('host'));
    }""")
    show(page, uneven_trace(), clip=clip)
    page.evaluate("viewer.goTo(7)")
    page.wait_for_function(SETTLED)
    page.evaluate("present(0, {mediaTime: 0.25})")
    assert snapshot(page)["slice"] == 7


def test_the_overlay_follows_the_playing_video(page: Page, clip: Path) -> None:
    show(page, uneven_trace(), clip=clip)
    page.evaluate("""() => {
        window.seen = [];
        new MutationObserver(() => seen.push(Number(viewer.snapshot().slice)))
            .observe(document.getElementById('viewer'), {attributeFilter: ['data-slice']});
    }""")
    page.locator("#viewer").focus()
    page.keyboard.press(" ")
    page.wait_for_function("document.querySelector('#viewer video').ended")
    seen = page.evaluate("seen")
    assert seen == sorted(seen) and len(set(seen)) >= 6
    expect(page.locator("#viewer")).to_have_attribute("data-slice", "11")
    expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible()


@pytest.mark.few
@pytest.mark.parametrize(
    ("width", "height", "page_width", "page_height"),
    [(320, 180, 900, 900), (180, 320, 900, 700), (640, 160, 500, 900), (320, 180, 390, 300)],
    ids=["wide", "portrait", "panorama", "short page"],
)
def test_cubes_lie_in_the_picture_never_on_the_bars(
    chromium: Browser, tmp_path: Path, width: int, height: int, page_width: int, page_height: int
) -> None:
    clip = write_coded_clip(tmp_path / "clip.mp4", frames=4, width=width, height=height)
    page = open_viewer(chromium, width=page_width, height=page_height)
    trace = make_trace(grids=((2, 6, 10),), cube=(2, 4, 4), layers=2)
    show(page, trace, clip=clip)
    page.evaluate("viewer.set({layer: 1})")
    canvas = page.locator("#viewer canvas.overlay").bounding_box()
    stage = page.locator("#viewer .stage").bounding_box()
    assert canvas and stage
    assert canvas["width"] / canvas["height"] == pytest.approx(width / height, rel=0.02)
    for start, size in (("x", "width"), ("y", "height")):
        before = canvas[start] - stage[start]  # type: ignore[literal-required]
        after = stage[size] - canvas[size] - before  # type: ignore[literal-required]
        assert before == pytest.approx(after, abs=1) and before >= -0.5
    share = TraceView(trace).kept("question")[1]
    kept, (cubes, places) = surely_kept(share), cube_middles(trace, 0)
    for cube, alpha in zip(cubes, alphas_at(page, places), strict=True):
        assert (alpha == 0) == kept.get(cube, alpha == 0)
    page.close()


@some_of("turn", [90, 180, 270])
def test_cubes_lie_on_the_upright_picture_of_a_turned_clip(
    chromium: Browser, tmp_path: Path, turn: int
) -> None:
    clip = write_clip(tmp_path / "turned.mp4", frames=4, size=(96, 160), turn=turn)
    page = open_viewer(chromium)
    trace = make_trace(grids=((2, 10, 6),), cube=(2, 4, 4), layers=2)
    show(page, trace, clip=clip)
    page.evaluate("viewer.set({layer: 1, mode: 'outline'})")
    box = page.locator("#viewer canvas.overlay").bounding_box()
    assert box and box["width"] / box["height"] == pytest.approx(96 / 160, rel=0.01)
    shown = screenshot(page).transpose(2, 0, 1)
    assert is_upright(shown)
    page.evaluate("viewer.set({mode: 'spotlight'})")
    kept = surely_kept(TraceView(trace).kept("question")[1])
    cubes, places = cube_middles(trace, 0)
    for cube, alpha in zip(cubes, alphas_at(page, places), strict=True):
        assert (alpha == 0) == kept.get(cube, alpha == 0)
    page.close()


def test_spotlight_on_screen_keeps_the_footage_and_darkens_the_rest(page: Page, clip: Path) -> None:
    trace = make_trace(grids=((12, 4, 6),), cube=(1, 2, 2), layers=2)
    show(page, trace, clip=clip)
    page.evaluate("viewer.goTo(9, {layer: 1})")
    page.wait_for_function(SETTLED)
    page.wait_for_timeout(100)
    picture = screenshot(page)
    kept = surely_kept(TraceView(trace).kept("question")[1])
    footage = grey_of(18)
    for cube, (row, column) in zip(*cube_middles(trace, 9), strict=True):
        y, x = int(row / 4 * picture.shape[0]), int(column / 6 * picture.shape[1])
        grey = float(picture[y, x].mean())
        if kept.get(cube, True):
            assert abs(grey - footage) < 10 or cube not in kept
        else:
            assert grey < footage / 2


def test_a_new_scene_on_the_same_clip_keeps_the_place(page: Page, clip: Path) -> None:
    show(page, uneven_trace(), clip=clip)
    page.evaluate("viewer.goTo(7)")
    page.wait_for_function(SETTLED)
    show(page, make_trace(grids=((12, 4, 6),), cube=(2, 2, 2), layers=2, seed=3), rev=2, clip=clip)
    assert page.evaluate("document.querySelector('#viewer video').currentTime") > 1
    assert snapshot(page)["rev"] == 2


def test_a_clip_that_cannot_be_played_leaves_the_overlay_on_plain_ground(
    page: Page, tmp_path: Path
) -> None:
    show(page, uneven_trace())
    page.evaluate("viewer.open('data:video/mp4;base64,AAAA')")
    page.wait_for_function("document.querySelector('#viewer video').error !== null")
    show(page, uneven_trace(), rev=2)
    page.evaluate("viewer.goTo(4)")
    assert snapshot(page)["slice"] == 4
    page.errors.clear()  # type: ignore[attr-defined]


def test_the_report_works_offline_with_its_video(
    chromium: Browser, clip: Path, tmp_path: Path
) -> None:
    trace = uneven_trace()
    file = tmp_path / "report.html"
    other = make_trace(grids=((12, 4, 6),), cube=(1, 2, 2), layers=2, attn_top_p=0.4)
    page_text = report(trace, video_path=clip, other=other, labels=("sparse", "<sparser>"))
    file.write_text(page_text, "utf-8")
    context = chromium.new_context(viewport={"width": 390, "height": 800}, color_scheme="dark")
    page, asked, errors = context.new_page(), [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
    page.goto(file.as_uri())
    while page.evaluate("document.querySelector('#viewer video').readyState") < 2:
        page.wait_for_timeout(50)  # waiting by a function evaluates text: its CSP forbids it
    for name in ("Seek", "Layer"):  # it opens where the question chose most sharply
        page.get_by_role("slider", name=name, exact=True).press("Home")
    expect(page.locator("#viewer")).to_have_attribute("data-slice", "0")
    page.get_by_role("slider", name="Layer", exact=True).press("ArrowRight")
    expect(page.locator("[data-of-layer]:visible")).to_have_count(1)
    expect(page.locator("[data-of-layer]:visible")).to_contain_text("layer 1")
    page.evaluate("document.querySelector('[aria-label=\"Next slice\"]').click()")
    expect(page.locator("#viewer")).to_have_attribute("data-slice", "1")
    assert frame_on_screen(page) == 2
    for name in ("Difference", "3-D cube stack"):
        page.get_by_role("button", name=name, exact=True).click()
    page.get_by_label("Head", exact=True).select_option("3")
    expect(page.locator("#viewer .legend")).to_contain_text("only B keeps: <sparser>")
    expect(page.locator("#viewer .stack")).to_be_visible()
    expect(page.locator("#viewer")).to_have_attribute("data-head", "3")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(14, 19, 27)"
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    assert errors == []
    context.close()


def test_a_script_that_a_report_did_not_write_does_not_run(
    chromium: Browser, tmp_path: Path
) -> None:
    foreign = (
        "<script>window.foreign = 1</script><script src='data:text/javascript,window.foreign = 1'>"
        "</script><script type='module' src='data:text/javascript,window.foreign = 1'></script>"
    )
    file = tmp_path / "report.html"
    file.write_text(report(uneven_trace()).replace("</main>", f"</main>{foreign}"), "utf-8")
    page, refused = chromium.new_page(), []
    page.on("console", lambda line: refused.append(line.text) if line.type == "error" else None)
    page.goto(file.as_uri())
    expect(page.locator("#viewer")).to_have_attribute("data-state", "ready")
    assert page.evaluate("window.foreign") is None
    assert len(refused) == 3 and all("Content Security Policy" in text for text in refused)
    page.close()


def screenshot(page: Page) -> np.ndarray:
    """uint8 [H, W, 3]: the picture with its overlay, as a visitor sees it."""
    data = page.locator("#viewer canvas.overlay").screenshot()
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
