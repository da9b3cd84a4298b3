"""A film shows the cubes that were on screen, large enough, captioned, in the shape asked for."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from clips import write_clip
from fake_engine import FakeEngine
from PIL import Image, ImageFont

from adaspark.errors import UserError
from adaspark.model.events import Result
from adaspark.model.request import Options
from app.media.reader.pool import Readers
from app.service.results import Finished, Results
from app.service.sessions import Video
from app.web.exports import Exports
from app.web.films import FilmOrder, difference_legend, film_order
from viz.video import lettering
from viz.video.captioned import MOMENT, Captioned
from viz.video.encode import Pixels


@pytest.fixture
def exports(tmp_path: Path) -> Iterator[Exports]:
    readers = Readers()
    yield Exports(tmp_path / "exports", readers)
    readers.close()


@pytest.fixture
def finished(tmp_path: Path) -> Finished:
    clip, engine = write_clip(tmp_path / "clip.mp4"), FakeEngine()
    options = Options(engine.default_config)
    events = engine.ask(clip, "why?", options, stop=threading.Event())
    result = next(event for event in events if isinstance(event, Result))
    return Results(2**28).add(Video(clip, "clip.mp4"), "clip.mp4", result, options)


def coded(values: list[int]) -> str:
    return base64.urlsafe_b64encode(bytes(values)).decode().rstrip("=")


def first_frame(path: Path) -> np.ndarray[Any, Any]:
    with av.open(str(path)) as opened:
        return next(opened.decode(video=0)).to_ndarray(format="rgb24")


@pytest.mark.few
@pytest.mark.parametrize(
    ("shape", "size"), [("square", (1080, 1080)), ("wide", (1280, 720)), ("clip", None)]
)
def test_a_film_is_large_enough_in_each_shape(
    exports: Exports, finished: Finished, shape: Any, size: tuple[int, int] | None
) -> None:
    frame = first_frame(exports.film(finished, FilmOrder(0, shape=shape)))
    height, width = frame.shape[:2]
    assert min(width, height) >= 720 and (size is None or (width, height) == size)


def test_a_film_is_of_the_cubes_on_screen(exports: Exports, finished: Finished) -> None:
    cubes = len(finished.result.trace.bounds)
    drawn = {}
    for kept in (0, 1):
        order = FilmOrder(0, shares=coded([255] * cubes), kept=coded([kept] * cubes))
        drawn[kept] = first_frame(exports.film(finished, order))
    height = drawn[0].shape[0]
    dark, light = (drawn[kept][: height // 2].mean() for kept in (0, 1))
    assert dark < 0.6 * light


def test_what_is_written_under_a_film_is_its_caption(exports: Exports, finished: Finished) -> None:
    one, other = (
        first_frame(exports.film(finished, FilmOrder(0, caption=text)))
        for text in ("Layer 0, by the word “red”", "something else altogether")
    )
    height = one.shape[0]
    assert np.abs(one[: height // 2].astype(int) - other[: height // 2]).mean() < 1
    assert np.abs(one[-height // 8 :].astype(int) - other[-height // 8 :]).mean() > 1


OWN = {"own_caption": "第 0 层 问题的词", "own_moment": "第 {slice} 片 {secs} 秒"}


def test_a_caption_is_in_the_pages_language_where_there_are_letters_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    order = film_order({"caption": "Layer 0", **OWN}, 0)
    monkeypatch.setattr(lettering, "_wide", lambda size: ImageFont.load_default(size))
    assert order.words() == (OWN["own_caption"], OWN["own_moment"])
    monkeypatch.setattr(lettering, "_wide", lambda size: None)
    assert order.words() == ("Layer 0", MOMENT)


def test_a_differences_legend_is_in_the_pages_language_where_there_are_letters_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines = ["仅 A 保留 稠密", "仅 B 保留 AdaSpark", "原样 两者都有", "第 0 层"]
    monkeypatch.setattr(lettering, "_wide", lambda size: ImageFont.load_default(size))
    assert difference_legend("\n".join(lines)) == lines
    assert difference_legend("") == difference_legend("\n".join(lines[:3])) == []
    monkeypatch.setattr(lettering, "_wide", lambda size: None)
    assert difference_legend("\n".join(lines)) == []


@pytest.mark.skipif(not lettering.can_write("中"), reason="no font with Chinese letters is here")
def test_chinese_letters_are_no_boxes() -> None:
    font = lettering.font_for("中文", 32)
    drawn = {letter: bytes(font.getmask(letter)) for letter in "中文第层"}
    assert len(set(drawn.values())) == 4


class Bare:
    """A painter that draws nothing."""

    def paint(self, frame: Pixels, slice_: int) -> Pixels:
        return frame


def test_slice_and_seconds_stand_where_the_line_has_its_places(finished: Finished) -> None:
    frame = np.zeros((60, 80, 3), np.uint8)

    def painted(moment: str) -> Pixels:
        captioned = Captioned(Bare(), finished.view, "x", "black", "white", moment=moment)
        return captioned.paint(frame, slice_=1)

    begins = f"{finished.view.slice_starts[1]:.2f}"
    one = painted("at {secs}, {slice}")
    assert np.array_equal(one, painted(f"at {begins}, 1"))
    assert not np.array_equal(one, painted(f"at {begins}, 0"))


def test_the_gif_moves_and_lasts_as_long_as_the_clip(exports: Exports, finished: Finished) -> None:
    path = exports.film(finished, FilmOrder(0, format="gif"))
    with av.open(str(finished.video.path)) as opened:
        secs = float(opened.duration or 0) / av.time_base
    with Image.open(path) as film:
        assert film.format == "GIF" and min(film.size) >= 720
        total = 0
        for number in range(film.n_frames):  # type: ignore[attr-defined]
            film.seek(number)
            total += film.info["duration"]
    assert number > 0 and total / 1000 == pytest.approx(secs, abs=0.35)


@pytest.mark.parametrize(
    "query",
    [{"shape": "round"}, {"format": "exe"}, {"shares": "*"}, {"shares": "AAAA", "kept": "AAAA"}],
)
def test_a_film_that_cannot_be_is_refused_in_words(
    exports: Exports, finished: Finished, query: dict[str, str]
) -> None:
    with pytest.raises(UserError):
        exports.film(finished, film_order(query, 0))


def test_an_order_is_read_from_an_address() -> None:
    kept = coded([1, 0, 255])
    order = film_order({"shares": kept, "kept": kept, "shape": "wide", "caption": "x" * 999}, 3)
    assert (order.layer, order.kept, order.shape) == (3, kept, "wide")
    assert len(order.caption) == 200
    assert order.name != film_order({"shares": kept, "kept": kept}, 3).name
