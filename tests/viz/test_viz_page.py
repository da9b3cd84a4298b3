"""The report is one file, asks nobody for anything, and treats a run's text as text."""

from __future__ import annotations

import ast
import json
import re
from base64 import b64encode
from collections.abc import Iterator
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from coded_clip import write_coded_clip
from paths import ROOT
from trace_factory import make_layered_trace, make_trace

from adaspark.trace.meta import Meta
from viz.data.series import Line
from viz.palette import DARK, LIGHT, css_variables
from viz.report import modules, page, svg

NASTY = '</script><img src=x onerror=alert(1)>${alert(1)}`\u2028 & "quoted"'
VIZ = ROOT / "viz"


class Elements(HTMLParser):
    """Collects elements, their attributes and text."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(markup)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def nasty_report() -> str:
    meta = {"question": NASTY, "answer": NASTY, "model": NASTY}
    return page.report(make_trace(layers=2, question=(NASTY,), answer=(NASTY,), meta=meta))


def test_a_runs_text_stays_text(nasty_report: str) -> None:
    found = Elements(nasty_report)
    assert found.text.count("<img src=x onerror=alert(1)>") >= 2
    assert not [attributes for tag, attributes in found.tags if "onerror" in attributes]
    embedded = re.search(r'id="scene">(.*?)</script>', nasty_report, re.S)
    assert embedded and json.loads(embedded[1])["question"] == NASTY


def test_thresholds_by_layer_are_told_by_their_ends() -> None:
    layered = make_layered_trace([(0.9, 0.7), (0.25, 0.5)])
    made = Elements(page.report(layered, other=make_trace(layers=2))).text
    assert "Top-p attention 0.25 to 0.9, by layer" in made
    assert "0.25 to 0.9, by layer, 0.5 to 0.7, by layer" in made and "0.9, 0.7" in made


def test_how_importance_was_measured_is_told_where_it_is_not_the_paper_s() -> None:
    config = {"cube": [2, 2, 2], "attn_top_p": 0.9, "ffn_top_p": 0.7, "ffn_importance": "input"}
    own = Elements(page.report(make_trace(layers=1, meta={"config": config}))).text
    assert "FFN importance input" in own
    assert "FFN importance" not in Elements(page.report(make_trace(layers=1))).text


def test_what_is_to_be_known_of_an_answer_stands_under_it() -> None:
    told = page.report(make_trace(layers=1, meta={"warnings": ["It is <b>extrapolated</b>."]}))
    assert "It is <b>extrapolated</b>." in Elements(told).text


def test_a_report_refers_to_nothing_outside(nasty_report: str) -> None:
    named = nasty_report.replace("http://www.w3.org/2000/svg", "")  # a name, never asked for
    assert not re.search(r"https?:|//cdn|@import|url\((?!data:)", named)
    for tag, attributes in Elements(nasty_report).tags:
        assert tag not in ("link", "iframe", "object")
        address = attributes.get("src") or attributes.get("href") or "data:"
        assert address.startswith("data:")


def test_a_report_is_small_and_complete(nasty_report: str) -> None:
    assert len(nasty_report) < 300_000
    text = Elements(nasty_report).text
    for words in ("Attention density", "Counted FLOPs of the prefill", "Kept cubes in every layer"):
        assert words in text
    assert "Choosing: scoring the cubes" in text and "Executed: what the kernels ran" in text


def test_a_small_video_is_embedded_and_a_large_one_is_named(tmp_path: Path) -> None:
    trace = make_trace(layers=1)
    clip = write_coded_clip(tmp_path / "a.mp4")
    assert '"data:video/mp4;base64,' in page.report(trace, video_path=clip)
    large = tmp_path / "large.mp4"
    large.write_bytes(bytes(page.EMBEDDED_BYTES + 1))
    without = page.report(trace, video_path=large)
    assert "data:video" not in without and "larger than the 8 MB" in without
    assert "carries no video" in page.report(trace)


@pytest.mark.parametrize(
    "shape", [{"grids": ()}, {"grids": ((5, 3, 7), (1, 2, 2))}, {"answer": ()}]
)
def test_any_run_can_be_reported(shape: dict[str, Any]) -> None:
    trace = make_trace(layers=2, **shape)
    assert "</html>" in page.report(trace)
    trace.meta = Meta()
    assert "No question" in page.report(trace)


def test_the_report_carries_the_whole_viewer_but_for_its_comments(
    nasty_report: str,
) -> None:
    given = re.search(r'<script type="importmap">(.*?)</script>', nasty_report, re.S)
    assert given
    addresses = json.loads(given[1])["imports"]
    others = {"index_page.js"}  # another page's
    carried_sources = {k: v for k, v in modules.sources().items() if k not in others}
    assert addresses.keys() == {f"viz/{name}" for name in carried_sources}
    for name, source in carried_sources.items():
        kind, _, text = addresses[f"viz/{name}"].partition(",")
        carried = unquote(text)
        assert kind == "data:text/javascript;charset=utf-8"
        here = re.sub(r'(?m) "viz/([\w.]+)";$', r' "./\1";', carried)
        assert [line for line in here.splitlines() if line] == list(_code(source))
        assert set(re.findall(r'(?m)^(?:import|\}).* "(.*)";$', carried)) <= addresses.keys()


def _code(source: str) -> Iterator[str]:
    """The lines that are neither blank nor of a comment that has whole lines."""
    is_comment = False
    for line in source.splitlines():
        is_comment = is_comment or line.strip().startswith("/*")
        if line and not is_comment:
            yield line
        is_comment = is_comment and not line.endswith("*/")


def test_the_report_s_policy_names_its_scripts_and_nothing_else(nasty_report: str) -> None:
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', nasty_report)
    scripts = re.findall(r'<script(?: type="importmap")?>(.*?)</script>', nasty_report, re.S)
    hashes = [b64encode(sha256(text.encode()).digest()).decode() for text in scripts]
    assert policy and len(hashes) == 2
    allowed = f"script-src 'strict-dynamic' 'sha256-{hashes[0]}' 'sha256-{hashes[1]}';"
    assert policy[1].startswith("default-src 'none'; ") and allowed in policy[1]


def test_every_colour_the_styles_use_is_in_the_palette() -> None:
    written = page.viewer_css() + (VIZ / "static" / "report.css").read_text("utf-8")
    assert not re.search(r"#[0-9a-f]{3,8}\b(?=[^{]*;)", written)
    styles = page.viewer_css() + (VIZ / "static" / "report.css").read_text("utf-8")
    used = set(re.findall(r"var\((--as-[a-z-]+)\)", styles + page.report(make_trace(layers=1))))
    assert used <= set(re.findall(r"(--as-[a-z-]+):", css_variables()))
    assert LIGHT.keys() == DARK.keys()


def test_viz_imports_no_model_and_no_app() -> None:
    for file in VIZ.glob("*.py"):
        for node in ast.parse(file.read_text("utf-8")).body:  # not under TYPE_CHECKING
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {n.split(".")[0] for n in names} & {"torch", "gradio", "adaspark", "app"}


def test_a_chart_skips_what_is_not_defined() -> None:
    line = Line("A <b>", "video", [0.0, 1.0, 2.0], [None, 0.25, 1.0])
    drawn = Elements(svg.line_chart([line], "Title <i>", "Layer"))
    circles = [attributes for tag, attributes in drawn.tags if tag == "circle"]
    assert len(circles) == 2 and "A <b>: 0.250" in drawn.text
    assert float(circles[1]["cy"] or 0) < float(circles[0]["cy"] or 0)


def test_bars_are_as_long_as_their_flops() -> None:
    rows = {"Dense": {"ffn": 4e9, "attention": 2e9}, "AdaSpark": {"ffn": 1e9, "attention": 2e9}}
    markup = svg.bar_chart(rows, {"ffn": "ffn", "attention": "video"}, "FLOPs")
    widths = [float(a["width"] or 0) for tag, a in Elements(markup).tags if tag == "rect"]
    assert widths[0] == pytest.approx(4 * widths[2], abs=0.3)
    assert widths[1] == pytest.approx(widths[3], abs=0.1)
