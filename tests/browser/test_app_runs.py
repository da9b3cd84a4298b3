"""Runs on the page, over an engine that is as slow as a test needs: stop, newest wins, failures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from app_page import (
    PATIENCE_MILLIS,
    ask,
    expect_error,
    expect_phase,
    number,
    question,
    rev,
    scene,
    seen,
    slider,
    upload,
    wait_for_state,
    watch_run,
)
from clips import write_clip
from playwright.sync_api import Page, Route, expect

pytestmark = pytest.mark.browser
ALL_WORDS = "the circle is red"


@pytest.fixture
def studio(use: Page) -> Page:
    return use


@pytest.fixture
def fresh(open_page: Callable[..., Page], fake_url: str) -> Page:
    opened = open_page(fake_url)
    wait_for_state(opened, "ready")
    return opened


def test_the_page_opens_with_an_answer(look: Page) -> None:
    assert rev(look) == 1 and scene(look)["question"] == "What color is the circle?"
    expect(question(look)).to_have_value("What color is the circle?")
    expect(look.locator("#answer")).to_have_text(ALL_WORDS)


def test_the_page_opens_on_what_produced_the_answer_and_stays_while_it_plays(look: Page) -> None:
    drawn, viewer = scene(look), look.locator("#viewer")
    word = drawn["words"][drawn["query"]["word"]]
    assert word["kind"] == "answer" and word["index"] == min(
        word["index"] for word in drawn["words"] if word["kind"] == "answer"
    )
    shares = np.array(drawn["kept"][drawn["layer"]])
    lit = [cube for cube in drawn["cubes"] if shares[cube["index"]] >= drawn["threshold"]]
    assert any(cube["t0"] <= drawn["slice"] < cube["t1"] for cube in lit)
    expect(look.locator("#viewer .sentence")).to_contain_text(
        f"layer {drawn['layer']} keeps {len(lit)} of {len(drawn['cubes'])} cubes"
    )
    look.get_by_role("button", name="Play", exact=True).click()
    look.wait_for_function("slice => adaspark.scene().slice !== slice", arg=drawn["slice"])
    playing = scene(look)
    for name in ("layer", "threshold", "query"):
        assert playing[name] == drawn[name]
    slider(look, "Layer").press("ArrowLeft" if drawn["layer"] else "ArrowRight")
    expect(viewer).not_to_have_attribute("data-layer", str(drawn["layer"]))
    expect(look.get_by_role("button", name="Kept from the layer's average")).to_have_attribute(
        "aria-pressed", "true"
    )


def test_an_answer_opens_on_what_produced_it_and_a_dial_keeps_what_is_looked_at(
    studio: Page,
) -> None:
    before = rev(studio)
    ask(studio, "slow please")
    wait_for_state(studio, "ready", after_rev=before)
    opened = scene(studio)
    assert opened["words"][opened["query"]["word"]]["kind"] == "answer"
    studio.locator("#viewer .word").first.click()
    slider(studio, "Layer").press("Home")
    held = scene(studio)
    before = rev(studio)
    slider(studio, "Top-p attention").press("ArrowLeft")
    wait_for_state(studio, "ready", after_rev=before)
    kept = scene(studio)
    assert [kept[name] for name in ("query", "layer", "slice")] == [
        held[name] for name in ("query", "layer", "slice")
    ]


CLOSED_LATE = """
const fetchAtOnce = window.fetch;
const text = new TextDecoder();
window.fetch = async (...request) => {
  const response = await fetchAtOnce(...request);
  if (!response.url.includes("queue/data")) return response;
  const late = new TransformStream({
    async transform(chunk, out) {
      const ends = text.decode(chunk).includes("close_stream");
      if (ends) await new Promise((go) => setTimeout(go, 700));
      out.enqueue(chunk);
      if (ends) out.terminate();
    },
  });
  const body = response.body.pipeThrough(late);
  return Object.defineProperty(new Response(body, response), "url", { value: response.url });
};
"""
"""Of Gradio's streams, that the server has ended them is read later than what was sent then."""


@pytest.mark.long
def test_an_answer_is_not_lost_where_the_stream_before_it_ends_late(
    open_page: Callable[..., Page], fake_url: str
) -> None:
    """The facts were asked for as the run's stream had just been ended, and never came."""
    fresh = open_page(fake_url, script=CLOSED_LATE)
    wait_for_state(fresh, "ready")
    fresh.wait_for_timeout(1000)  # the streams that the page opened with have ended
    facts = fresh.locator(".picker .facts")
    fresh.get_by_role("button", name="Sampling and length").click()
    number(fresh, "Frames at most").fill("4")
    expect(facts).to_contain_text("4 frames")


def test_another_card_shows_its_own_recorded_run(studio: Page) -> None:
    first = rev(studio)
    studio.get_by_role("button", name="Tall").click()
    wait_for_state(studio, "ready", after_rev=first)
    expect(studio.get_by_text("Recorded earlier")).to_be_visible()
    seconds = studio.locator("#viewer video").evaluate("v => v.currentTime")
    drawn = scene(studio)
    assert drawn["frame_times"][drawn["slice"]][0] <= seconds + 0.002
    assert drawn["grid"][1] > drawn["grid"][2]
    slider(studio, "Top-p FFN").press("ArrowLeft")
    wait_for_state(studio, "ready", after_rev=first + 1)
    studio.get_by_role("button", name="Numbers").click()
    wait_for_state(studio, "ready", after_rev=first + 3)
    assert scene(studio)["config"]["ffn_top_p"] == pytest.approx(0.69), "the dials stay"


def test_phases_and_words_come_one_by_one(studio: Page) -> None:
    first = rev(studio)
    watch_run(studio)
    ask(studio, "slow please")
    wait_for_state(studio, "ready", after_rev=first)
    assert seen(studio, "states") == ["ready", "running", "ready"]
    layers = [text for text in seen(studio, "phases") if "Prefill" in text]
    assert layers == [f"Prefill layer {n} of 4" for n in (1, 2, 3, 4)]
    words = [text for text in seen(studio, "answers") if text != " the circle is red"]
    assert words[-3:] == [" the", " the circle", " the circle is"]


def test_stop_keeps_what_there_is(studio: Page) -> None:
    first = rev(studio)
    ask(studio, "hold words")
    expect(studio.locator("#answer")).to_have_text("the", timeout=PATIENCE_MILLIS)
    studio.get_by_role("button", name="Stop", exact=True).click()
    wait_for_state(studio, "ready", after_rev=first)
    expect(studio.locator("#answer")).to_have_text("the")
    assert scene(studio)["question"] == "hold words"


@pytest.mark.long
def test_stop_before_the_first_word_keeps_the_last_pictures(studio: Page) -> None:
    first = rev(studio)
    ask(studio, "hold layers")
    expect_phase(studio, "layer 1 of 4")
    studio.get_by_role("button", name="Stop", exact=True).click()
    wait_for_state(studio, "stale")
    assert rev(studio) == first and scene(studio)["question"] == "What color is the circle?"


def test_a_dial_makes_the_pictures_stale_at_once_and_new_ones_replace_them(studio: Page) -> None:
    first = rev(studio)
    watch_run(studio)
    slider(studio, "Top-p attention").press("ArrowLeft")
    wait_for_state(studio, "ready", after_rev=first)
    assert seen(studio, "states") == ["ready", "stale", "ready"]
    assert scene(studio)["config"]["attn_top_p"] == pytest.approx(0.89)


def test_the_newest_of_many_moves_wins(studio: Page) -> None:
    first = rev(studio)
    ask(studio, "hold layers")
    expect_phase(studio, "layer 1 of 4")
    for _ in range(3):  # each gives up the run before it, which would never end by itself
        with studio.expect_request("**/queue/join*"):
            slider(studio, "Top-p FFN").press("ArrowLeft")
        expect_phase(studio, "layer 1 of 4")
    ask(studio, "quick please")
    wait_for_state(studio, "ready", after_rev=first)
    assert scene(studio)["config"]["ffn_top_p"] == pytest.approx(0.67)
    assert rev(studio) == first + 1


def test_a_new_question_replaces_the_one_under_way(studio: Page) -> None:
    first = rev(studio)
    ask(studio, "hold layers")
    expect_phase(studio, "layer 1 of 4")
    ask(studio, "quick please")
    wait_for_state(studio, "ready", after_rev=first)
    assert scene(studio)["question"] == "quick please" and rev(studio) == first + 1


def test_cube_sides_change_the_cubes(studio: Page) -> None:
    first = rev(studio)
    before = len(scene(studio)["cubes"])
    number(studio, "Cube t").fill("1")
    wait_for_state(studio, "ready", after_rev=first)
    assert len(scene(studio)["cubes"]) > before


@pytest.mark.long
def test_a_cube_of_zero_is_refused_and_nothing_is_lost(studio: Page) -> None:
    first = rev(studio)
    number(studio, "Cube h").fill("0")
    expect_error(studio, "A cube is three whole numbers of at least 1")
    assert studio.locator("#viewer").get_attribute("data-state") == "error"
    expect(number(studio, "Cube h")).to_have_value("0")
    expect(studio.locator("#answer")).to_have_text(ALL_WORDS)
    number(studio, "Cube h").fill("3")
    wait_for_state(studio, "ready", after_rev=first)
    expect(studio.locator("#error")).to_be_empty()


def test_a_failure_of_ours_is_a_sentence_and_the_question_stays(studio: Page) -> None:
    first = rev(studio)
    ask(studio, "fail please")
    assert "secret" not in expect_error(studio, "The model failed on this request")
    expect(question(studio)).to_have_value("fail please")
    ask(studio, "quick please")
    wait_for_state(studio, "ready", after_rev=first)


@pytest.mark.long
def test_a_chip_fills_the_question_in(look: Page) -> None:
    look.get_by_role("button", name="slow please").click()
    expect(question(look)).to_have_value("slow please")


@pytest.mark.long
def test_ask_waits_for_the_upload_it_was_pressed_during(fresh: Page, tmp_path: Path) -> None:
    path = tmp_path / "mine.mp4"
    write_clip(path, frames=40, size=(160, 96))
    held: list[Route] = []
    fresh.route("**/gradio_api/upload*", lambda route: held.append(route))
    with fresh.expect_request("**/gradio_api/upload*"):
        upload(fresh, path)
    ask(fresh, "what is this")
    wait_for_state(fresh, "running")
    held[0].continue_()
    wait_for_state(fresh, "ready", after_rev=1)
    assert scene(fresh)["question"] == "what is this"
    expect(fresh.locator("#viewer")).to_contain_text("160 x 96")


@pytest.mark.long
def test_two_visitors_do_not_see_each_other(open_page, fake_url: str) -> None:  # type: ignore[no-untyped-def]
    one, two = open_page(fake_url), open_page(fake_url)
    for page in (one, two):
        wait_for_state(page, "ready")
    ask(one, "hold words for one")
    expect(one.locator("#answer")).to_have_text("the", timeout=PATIENCE_MILLIS)
    ask(two, "quick for two")
    expect_phase(two, "Waiting for 1")
    one.get_by_role("button", name="Stop", exact=True).click()
    wait_for_state(one, "ready", after_rev=1)
    wait_for_state(two, "ready", after_rev=1)
    assert scene(one)["question"] == "hold words for one"
    assert scene(two)["question"] == "quick for two"
