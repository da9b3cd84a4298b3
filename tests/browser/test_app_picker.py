"""What the picker says of a file on its way, which card it marks, and that this one is in sight."""

from __future__ import annotations

from typing import Any

import pytest
from app_page import evaluate_in, resize, wait_for_state
from playwright.sync_api import Page

pytestmark = pytest.mark.browser
SEND = """(async () => {
  const place = document.createElement("div");
  place.append(document.querySelector(".picker").cloneNode(true));
  place.querySelector(".cards").replaceChildren();
  document.body.append(place);
  const find = (selector) => place.querySelector(selector);
  const cards = () => [...place.querySelectorAll(".card")];
  const now = () => ({
    facts: find(".facts").textContent,
    chosen: cards().filter((card) => card.ariaPressed === "true").map((card) => card.dataset.name),
    stops: cards().filter((card) => card.tabIndex === 0).map((card) => card.dataset.name),
  });
  const clip = document.querySelector(".card video").src.split("#")[0];
  const samples = ["one", "two"].map((name) => ({ name, title: name, url: clip }));
  const props = { samples, limit_bytes: 1e9, value: null };
  let hear;
  const sent = new Promise((arrived) => {
    const trigger = (event, data) => event === "upload" && arrived(data);
    page.mountPicker(place, { props, trigger, watch: (_, heard) => { hear = heard; } });
  });
  const told = (value) => {
    props.value = value;
    hear();
    return now();
  };
  const mounted = now();
  const card = { facts: "a clip", note: "", warnings: [], questions: [], url: clip };
  const first = told({ ...card, sample: "two", pick: 0 });
  const files = new DataTransfer();
  files.items.add(new File([new Uint8Array(3e6)], NAME, { type: "video/mp4" }));
  const input = find("input[type=file]");
  input.files = files.files;
  input.dispatchEvent(new Event("change"));
  const uploading = now();
  const { pick, name } = await sent;
  const checking = now();
  const preparing = told({ pick, progress: 0.25 });
  const preview = { url: `${clip}?grows`, duration_secs: 2 };
  const previewed = told({ pick, progress: 0.5, preview });
  const late = told({ ...card, sample: "one", pick: pick - 1 });
  const done = told({ ...card, name, url: `${clip}?mine`, pick });
  place.remove();
  return { mounted, first, uploading, checking, preparing, previewed, late, done, name };
})()"""
"""A file sent by a picker of its own: what it shows at each message, which the test gives it."""


@pytest.fixture
def picker(open_page: Any, fake_url: str) -> Page:
    page: Page = open_page(fake_url)
    wait_for_state(page, "ready")
    return page


def sent(page: Page, name: str) -> Any:
    return evaluate_in(page, "picker.js", SEND.replace("NAME", repr(name)))


def test_each_state_of_a_file_on_its_way_names_it(picker: Page) -> None:
    seen = sent(picker, "my clip.mp4")
    assert [seen[state]["facts"] for state in ("uploading", "checking", "preparing")] == [
        "Uploading my clip.mp4\u2026",
        "Checking my clip.mp4\u2026",
        "Preparing my clip.mp4: 25 %",
    ]
    assert seen["previewed"]["facts"] == seen["late"]["facts"] == "Preparing my clip.mp4: 50 %"
    assert seen["done"]["facts"] == "a clip"


def test_a_long_name_is_told_by_its_ends_and_sent_whole(picker: Page) -> None:
    name = "a very long name of a clip that somebody filmed in the garden.mp4"
    seen = sent(picker, name)
    told = seen["checking"]["facts"]
    assert told == "Checking a very long name of a clip \u2026e garden.mp4\u2026"
    assert seen["name"] == name


def test_the_mark_leaves_the_card_when_another_video_is_seen(picker: Page) -> None:
    seen = sent(picker, "clip.mp4")
    for state in ("first", "uploading", "checking", "preparing"):
        assert seen[state]["chosen"] == seen[state]["stops"] == ["two"], state
    for state in ("mounted", "previewed", "late"):
        assert seen[state]["chosen"] == [] and seen[state]["stops"] == ["one"], state
    assert seen["done"]["chosen"] == seen["done"]["stops"] == ["own"]


def test_the_chosen_card_stays_in_sight_when_the_window_is_narrowed(picker: Page) -> None:
    picker.locator(".picker .card").last.click()
    chosen = picker.locator(".picker .card[aria-pressed=true]")
    for width in (1024, 360):
        resize(picker, width)
        picker.wait_for_function("""() => {
          const [list, card] = [".cards", ".card[aria-pressed=true]"].map((part) =>
            document.querySelector(`.picker ${part}`).getBoundingClientRect());
          return card.left >= list.left - 1 && card.right <= list.right + 1;
        }""")
    assert chosen.get_attribute("data-name") == "02_tall"
    assert picker.evaluate("scrollX + scrollY") == 0
