"""`adaspark gallery`: a folder that any static host serves, with runs as interactive pages."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from PIL import Image

from adaspark.arguments import Parser
from adaspark.assets import RESULTS, SAMPLES, TRACES
from adaspark.errors import UserError
from adaspark.eval.report.page import saved_page
from adaspark.trace.trace import Trace
from adaspark.video.probe import scan
from viz.report.gallery import Card, Link, gallery
from viz.report.page import report

NOTE = (
    "The bundled model is small and was trained on synthetic video; what it shows need not hold "
    "for a large one."
)


def main(argv: Sequence[str]) -> int:
    """Write the folder; raises UserError if that cannot be done."""
    parser = Parser(prog="adaspark gallery", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--traces", type=Path, default=TRACES, metavar="FOLDER", help="of NAME.npz")
    parser.add_argument("--clips", type=Path, default=SAMPLES, metavar="FOLDER", help="of NAME.mp4")
    options = parser.parse_args(argv)
    return _write(options)


def _write(options: argparse.Namespace) -> int:
    runs = [(path, options.clips / f"{path.stem}.mp4") for path in options.traces.glob("*.npz")]
    shown = sorted((trace, clip) for trace, clip in runs if clip.is_file())
    if not shown:
        raise UserError(
            f"{options.traces} and {options.clips} have no NAME.npz with a NAME.mp4: record a run "
            "with `adaspark ask CLIP.mp4 QUESTION --trace CLIP.npz`."
        )
    out: Path = options.out
    try:
        for name in ("runs", "results"):
            (out / name).mkdir(parents=True, exist_ok=True)
        cards = [_run(trace, clip, out) for trace, clip in shown]
        is_bundled = options.traces == TRACES
        results = _results(out) if is_bundled else []
        first = gallery(cards, results, NOTE if is_bundled else "")
        (out / "index.html").write_text(first, "utf-8")
    except OSError as error:
        raise UserError(
            f"{out} cannot be written ({error.strerror}): name another folder."
        ) from error
    print(f"{out / 'index.html'}: {len(cards)} runs, {len(results)} pages of results")
    return 0


def _run(path: Path, clip: Path, out: Path) -> Card:
    trace = Trace.load(path)
    name = path.stem
    (out / "runs" / f"{name}.html").write_text(report(trace, video_path=clip), "utf-8")
    _write_poster(clip, out / "runs" / f"{name}.jpg")
    return Card(
        href=f"runs/{quote(name)}.html",
        poster=f"runs/{quote(name)}.jpg",
        title=name.lstrip("0123456789_-").replace("_", " ").replace("-", " ").capitalize(),
        question=trace.meta.question or "",
        answer=trace.meta.answer or "",
        attention_density=trace.attention_density,
        ffn_density=trace.ffn_density,
    )


def _write_poster(clip: Path, picture: Path) -> None:
    shown = next(scan(clip).pictures([_poster_secs(clip)]))
    Image.fromarray(shown.rgb).save(picture, quality=85)


def _poster_secs(clip: Path) -> float:
    """The middle of the first object's time, where the clip's JSON says it; else the start."""
    notes = clip.with_suffix(".json")
    events = json.loads(notes.read_text("utf-8")).get("events", []) if notes.is_file() else []
    if not events:
        return 0.1
    return float(events[0]["start_secs"] + events[0]["end_secs"]) / 2


def _results(out: Path) -> list[Link]:
    """The pages of the measured results: each carries its pictures inside."""
    links = []
    for path in sorted(RESULTS.glob("*/results.json")):
        if made := saved_page(path.parent):
            title, page = made
            target = f"results/{path.parent.name}.html"
            (out / target).write_text(page, "utf-8")
            links.append(Link(target, title))
    return links
