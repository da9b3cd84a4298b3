"""The page in Chinese, state by state: no sentence of it is English."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from app_page import PATIENCE_MILLIS, rev, wait_for_state
from playwright.sync_api import Page, Route, expect

from tests.chinese import english

pytestmark = pytest.mark.browser
SEEN = """() => {
  const { get: valueOf } = Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value");
  const names = ["aria-label", "title", "placeholder", "aria-valuetext", "alt"];
  const given = [
    "#answer, .word, .link, .question-chips, .card, .chips b, .beside-answers p, .history-card b",
    "textarea, pre, code, kbd, script, style, template, .history-pair h3, [lang=en]:not(html)",
    ".menu-panel input",
  ].join();
  const found = [];
  const walker = document.createTreeWalker(document.body, 1 | 4); // elements and texts
  for (let node = walker.currentNode; node; node = walker.nextNode()) {
    const element = node instanceof Element ? node : node.parentElement;
    const isSeen = element.checkVisibility({ visibilityProperty: true });
    if (!isSeen || element.closest(given)) continue;
    if (node !== element) found.push(node.nodeValue.trim());
    else found.push(...names.map((name) => element.getAttribute(name) ?? ""));
    if (node === element && element.matches("input:not([type=checkbox])")) {
      found.push(valueOf.call(element)); // what is seen, whatever scripts read
    }
    if (node === element && element.matches("select")) {
      found.push(...[...element.options].filter((each) => !each.lang).map((each) => each.text));
    }
  }
  return found;
}"""
"""Every text, name and chosen value that is seen, but for what visitors, runs and commands say."""


@pytest.fixture
def chinese(open_page: Callable[..., Page], fake_url: str) -> Page:
    page = open_page(fake_url, query="?lang=zh")
    wait_for_state(page, "ready")
    expect(page.get_by_role("button", name="提问", exact=True)).to_be_enabled()
    return page


@pytest.fixture
def look(look: Page) -> Page:
    """The page that many tests look at, after its language was chosen there."""
    look.get_by_label("Language", exact=True).select_option("zh")
    expect(look.get_by_role("button", name="提问", exact=True)).to_be_enabled()
    return look


def expect_chinese(page: Page, where: str) -> None:
    """Wait until nothing that is seen is English; what is on its way may be for a moment."""
    left: list[str] = []
    for _ in range(40):
        left = english(page.evaluate(SEEN))
        if not left:
            return
        page.wait_for_timeout(100)
    raise AssertionError(f"{where}: {left}")


def tab(page: Page, title: str) -> None:
    page.locator(f'.figures [role=tab][data-title="{title}"]').click()


def test_landing_and_every_way_to_look(chinese: Page) -> None:
    viewer = chinese.locator("#viewer")
    expect_chinese(chinese, "landing")
    for value in ("outline", "heat", "ffn", "spotlight", "video", "question", "answer"):
        viewer.locator(f'[data-value="{value}"]').first.click()
        expect_chinese(chinese, value)
    viewer.locator(".spatial").click()
    viewer.get_by_label("注意力头", exact=True).select_option("1")
    expect_chinese(chinese, "a head")
    for word in (viewer.locator(".word").first, viewer.locator(".word").last):
        word.click()
        expect_chinese(chinese, "a word")
    viewer.locator(".stage").hover()
    expect_chinese(chinese, "a cube under the pointer")
    viewer.locator(".stage").click()
    expect_chinese(chinese, "a cube")
    viewer.locator(".keys summary").click()
    for menu in chinese.locator(".menu-button:visible").all():
        menu.click()
        expect_chinese(chinese, "a menu")


@pytest.mark.long
def test_what_a_list_says_is_chosen(chinese: Page) -> None:
    shown = f"name => ({SEEN})().some((text) => text.endsWith(name))"
    cube = {axis: chinese.get_by_role("spinbutton", name=f"立方块 {axis}") for axis in "th"}
    expect_chinese(chinese, "the model's own cube")
    cube["t"].fill("9")
    chinese.wait_for_function(shown, arg="自定义")
    expect_chinese(chinese, "a cube by hand")
    chinese.locator(".cube-preset input").click()
    expect_chinese(chinese, "an open list")
    chinese.get_by_role("option", name="扁平").click()
    expect(cube["h"]).to_have_value("8")
    chinese.wait_for_function(shown, arg="扁平")
    chinese.get_by_label("语言").select_option("en")
    chinese.wait_for_function(shown, arg="1 x 8 x 8, flat")


@pytest.mark.long
def test_what_is_written_on_films(look: Page) -> None:
    asked: list[dict[str, list[str]]] = []

    def film(route: Route) -> None:
        asked.append(parse_qs(urlsplit(route.request.url).query))
        route.fulfill(body="a film")

    look.route("**/overlay.mp4?*", film)
    viewer = look.locator("#viewer")
    for value in ("outline", "heat", "ffn", "video", "question", "answer"):
        viewer.locator(f'[data-value="{value}"]').first.click()
        look.locator("[aria-controls=export-menu]").click()
        with look.expect_download():
            look.get_by_role("button", name="带叠加的影片").first.click()
        look.locator("[aria-controls=export-menu]").click()
    texts = [query[part][0] for query in asked for part in ("own_caption", "own_moment")]
    bare = [text.replace("{slice}", "7").replace("{secs}", "7") for text in texts]
    assert len(bare) == 12 and english(bare) == []
    assert all("{slice}" in text and "{secs}" in text for text in texts[1::2])


@pytest.mark.long
def test_what_is_written_under_the_film_of_a_difference(chinese: Page) -> None:
    asked: list[dict[str, list[str]]] = []

    def film(route: Route) -> None:
        asked.append(parse_qs(urlsplit(route.request.url).query))
        route.fulfill(body="a film")

    chinese.route("**/difference.mp4?*", film)
    tab(chinese, "Compare")
    panel = chinese.locator("[role=tabpanel]:not([hidden])")
    panel.get_by_role("button", name="比较", exact=True).click()
    chinese.wait_for_function("adaspark.scene()?.mode === 'difference'")
    for value in ("cubes", "ffn"):
        chinese.locator(f'#viewer .legend-row [data-value="{value}"]').click()
        chinese.locator("[aria-controls=export-menu]").click()
        with chinese.expect_download():
            chinese.get_by_role("button", name="带叠加的影片").first.click()
        chinese.locator("[aria-controls=export-menu]").click()
    legends = [query["own_legend"][0].split("\n") for query in asked]
    assert [len(lines) for lines in legends] == [4, 4] and legends[0] != legends[1]
    assert english(line for lines in legends for line in lines) == []


@pytest.mark.long
def test_every_tab(chinese: Page) -> None:
    titles = [str(each.get_attribute("data-title")) for each in chinese.get_by_role("tab").all()]
    assert len(titles) > 10
    for title in titles:
        tab(chinese, title)
        panel = chinese.locator("[role=tabpanel]:not([hidden])")
        panel.scroll_into_view_if_needed()
        for plot in panel.locator(".plot").all():
            expect(plot.locator(".main-svg").first).to_be_attached(timeout=PATIENCE_MILLIS)
        for hidden in panel.locator("details:not(:has(pre)) > summary").all():
            hidden.click()
        expect_chinese(chinese, title)


@pytest.mark.long
def test_errors_say_it_in_chinese(chinese: Page, tmp_path: Path) -> None:
    box = chinese.get_by_role("textbox", name="问题", exact=True)
    box.fill("")
    chinese.locator("#ask").click()
    expect(chinese.locator("[data-field=question]")).to_contain_text("问题为空")
    expect_chinese(chinese, "no question")
    (tmp_path / "notes.mp4").write_text("no video")
    chinese.locator("input[type=file]").set_input_files(tmp_path / "notes.mp4")
    expect(chinese.locator("[data-field=video]")).to_contain_text(
        "notes.mp4 不是已知种类的视频", timeout=PATIENCE_MILLIS
    )
    expect_chinese(chinese, "no video")
    box.fill("quick please")
    chinese.get_by_role("spinbutton", name="立方块 t", exact=True).fill("0")
    chinese.locator("#ask").click()
    expect(chinese.locator("[data-field=dials]")).to_contain_text("立方块是三个")
    expect_chinese(chinese, "no cube")


@pytest.mark.long
def test_a_running_question_and_another_run_beside_it(chinese: Page) -> None:
    box = chinese.get_by_role("textbox", name="问题", exact=True)
    before = rev(chinese)
    box.fill("slow please")
    chinese.locator("#ask").click()
    wait_for_state(chinese, "running")
    expect_chinese(chinese, "running")
    chinese.locator("#stop").click()
    expect(chinese.locator("#stop")).to_be_disabled(timeout=PATIENCE_MILLIS)
    expect_chinese(chinese, "stopped")
    box.fill("quick please")
    chinese.locator("#ask").click()
    wait_for_state(chinese, "ready", after_rev=before)
    for title, start in (("Compare", "比较"), ("Ablate", "强制关闭")):
        tab(chinese, title)
        if title == "Ablate":
            chinese.locator("#viewer .stage").click()
        panel = chinese.locator("[role=tabpanel]:not([hidden])")
        panel.get_by_role("button", name=start, exact=True).click()
        expect(panel.locator(".beside table")).to_be_visible(timeout=PATIENCE_MILLIS)
        expect_chinese(chinese, title)


@pytest.mark.long
def test_the_story_moves_the_controls_by_their_english_names(chinese: Page) -> None:
    chinese.locator(".story-opener").click()
    story = chinese.get_by_role("dialog")
    for step in range(1, 6):
        expect(story).to_contain_text(f"第 {step} 步")
        if step == 3:
            expect(story).to_contain_text("时仍答“the circle is red”", timeout=PATIENCE_MILLIS)
        if step == 4:
            expect(story).to_contain_text("此处两者都答", timeout=PATIENCE_MILLIS)
        expect_chinese(chinese, f"step {step}")
        chinese.keyboard.press("ArrowRight")


def test_figures_are_drawn_again_in_the_language_that_is_chosen(look: Page) -> None:
    tab(look, "Entropy")
    title = look.locator(".plot[data-figure=entropy_by_layer] .gtitle")
    title.scroll_into_view_if_needed()
    expect(title).to_have_text("各层的熵", timeout=PATIENCE_MILLIS)
    look.get_by_label("语言").select_option("en")
    expect(title).to_have_text("Entropy by layer", timeout=PATIENCE_MILLIS)
    expect(look.get_by_role("tab", name="Entropy", exact=True)).to_be_visible()
