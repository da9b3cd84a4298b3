"""One self-contained HTML page for an evaluation: its question, findings and failures, and how to
rerun it.

It loads nothing and links nowhere; its own policy forbids it any request. Everything that a run
says is escaped.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from adaspark.eval.report.figure import Figure
from adaspark.eval.report.results import LABELS, Label, Results, load, write
from adaspark.eval.report.tables import Table
from viz.report.document import document
from viz.report.markup import tag, text

MAX_BYTES = 1_500_000
"""of a page, pictures included"""

NOTES: dict[Label, str] = {
    "S": "A small model of the same architecture, trained by this project on its own synthetic "
    "video. What it shows need not hold for the paper's model, and no number here is the paper's.",
    "A": "Counted from shapes and densities; nothing was run or timed.",
    "R": "Published weights on a public benchmark, run by the command below.",
    "Q": "Copied from the paper that is named; not measured here.",
}
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
_CSS = """
body { margin: 0 auto; padding: 28px 18px 56px; max-width: 960px; box-sizing: border-box;
  background: var(--ground); color: var(--text); overflow-wrap: anywhere;
  font: 15px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif; }
h1 { margin: 10px 0 4px; font-size: clamp(24px, 4vw, 32px); line-height: 1.2; }
h2 { margin: 36px 0 8px; font-size: 20px; }
p { margin: 6px 0; max-width: 72ch; }
.lead { font-size: 17px; color: var(--muted); }
.label { display: inline-flex; gap: 8px; padding: 2px 12px 2px 2px; border-radius: 999px;
  background: var(--raised); color: var(--muted); font-size: 13px; align-items: center; }
.label b { display: grid; place-items: center; width: 24px; height: 24px; border-radius: 50%;
  background: var(--accent); color: var(--on_accent); }
.note { margin-top: 14px; padding: 10px 14px; border-left: 4px solid var(--accent);
  background: var(--raised); border-radius: 0 8px 8px 0; font-size: 14px; }
.command { margin: 16px 0 0; padding: 10px 14px; border-radius: 8px; background: var(--raised);
  font: 13.5px/1.5 ui-monospace, "Liberation Mono", monospace; white-space: pre-wrap; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 2px 16px; margin: 12px 0;
  font-size: 14px; }
dt { color: var(--muted); }
dd { margin: 0; font-variant-numeric: tabular-nums; }
figure { margin: 18px 0; }
figure .scroll { padding: 10px; border: 1px solid var(--line); border-radius: 12px;
  background: #fff; }
figure img { display: block; width: 100%; min-width: 600px; height: auto; }
figcaption, caption, .small { color: var(--muted); font-size: 13.5px; text-align: left; }
figcaption { margin-top: 6px; }
caption { padding: 0 0 6px; font-weight: 600; color: var(--text); font-size: 15px; }
.scroll { overflow-x: auto; overflow-wrap: normal; }
table { margin-top: 22px; border-collapse: collapse; font-size: 14px;
  font-variant-numeric: tabular-nums; }
th, td { padding: 5px 9px; border-bottom: 1px solid var(--line); text-align: left; }
:is(th, td):first-child { padding-left: 0; }
thead th { color: var(--muted); font-weight: 550; vertical-align: bottom; }
tbody th { font-weight: 550; }
:is(th, td).number { text-align: right; }
td { white-space: nowrap; }
.interval { color: var(--muted); font-size: 12.5px; }
summary { cursor: pointer; color: var(--muted); }
pre { overflow-x: auto; font: 13px/1.45 ui-monospace, "Liberation Mono", monospace; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
footer { margin-top: 40px; color: var(--muted); font-size: 13px; }
"""


def write_page(
    results: Results,
    *,
    title: str,
    paper: str = "",
    seen: Sequence[str] = (),
    failed: Sequence[str] = (),
) -> Path:
    """Write `page(...)` as `index.html` beside the results, and say where. `results.json` keeps its
    words, so that `saved_page` makes the same page of it.

    Raises ValueError for a page over `MAX_BYTES`; UserError if the disk refuses.
    """
    results.page = {"title": title, "paper": paper, "seen": list(seen), "failed": list(failed)}
    content = page(results, **results.page).encode()
    if len(content) > MAX_BYTES:
        raise ValueError(f"A page has at most {MAX_BYTES:,} bytes, got {len(content):,}.")
    path = results.folder / "index.html"
    write(path, content)
    results.save(results.tables, results.figures)
    return path


def saved_page(folder: Path) -> tuple[str, str] | None:
    """Title and page of a finished evaluation, from what lies in its folder; None where no page was
    ever written. Raises UserError as `load` does.
    """
    results = load(folder)
    return (results.page["title"], page(results, **results.page)) if results.page else None


def page(
    results: Results,
    *,
    title: str,
    paper: str = "",
    seen: Sequence[str] = (),
    failed: Sequence[str] = (),
) -> str:
    """The page: label, findings (`seen`), negative results (`failed`), figures, tables, setting.

    `paper` names what asks the same question there, such as "Fig. 3". Figures must have been
    saved with the results in this process.
    """
    body = [
        _header(results, title, paper),
        _paragraphs("What is seen", seen),
        _paragraphs("What failed", failed),
        *(_figure(figure) for figure in results.figures),
        *(_table(table) for table in results.tables),
        _run(results),
    ]
    footer = tag("footer", "Written by AdaSpark Studio.")
    return document(title, f"{tag('main', *body)}\n{footer}", policy=_POLICY, css=_CSS)


def _header(results: Results, title: str, paper: str) -> str:
    lead = (
        f"The same question as {paper} of the AdaSpark paper, at small scale."
        if paper
        else "A question beyond the paper, at small scale."
    )
    label = tag("span", tag("b", results.label), LABELS[results.label], class_="label")
    return tag(
        "header",
        label,
        tag("h1", text(title)),
        tag("p", text(lead), class_="lead") if results.label == "S" else "",
        tag("p", NOTES[results.label], class_="note"),
    )


def _paragraphs(title: str, sentences: Sequence[str]) -> str:
    if not sentences:
        return ""
    return tag("section", tag("h2", title), *(tag("p", text(words)) for words in sentences))


def _figure(figure: Figure) -> str:
    data = base64.b64encode(figure.png).decode("ascii")
    picture = f'<img src="data:image/png;base64,{data}" alt="{text(figure.alt)}">'
    return tag("figure", _scrolled(picture, figure.title), tag("figcaption", text(figure.title)))


def _table(table: Table) -> str:
    numeric = [kind != "text" for kind in table.columns.values()]
    names = zip(table.columns, numeric, strict=True)
    head = [tag("th", text(name), scope="col", class_=_side(number)) for name, number in names]
    rows = [tag("tr", *_cells(row, numeric)) for row in table.cells()]
    whole = tag(
        "table",
        tag("caption", text(table.title)),
        tag("thead", tag("tr", *head)),
        tag("tbody", *rows),
    )
    note = tag("p", text(table.note), class_="small") if table.note else ""
    return _scrolled(whole, table.title) + note


def _scrolled(wide: str, name: str) -> str:
    """What may be wider than a phone scrolls in a region of its own, by keyboard too."""
    return tag("div", wide, class_="scroll", tabindex=0, role="region", aria_label=name)


def _cells(row: Sequence[str], numeric: Sequence[bool]) -> Iterable[str]:
    """The first cell names the row; an interval is quieter than its value."""
    for index, (cell, number) in enumerate(zip(row, numeric, strict=True)):
        value, bracket, interval = cell.partition(" [") if number else (cell, "", "")
        quiet = tag("span", text(f" [{interval}"), class_="interval") if bracket else ""
        if index == 0:
            yield tag("th", text(value), quiet, scope="row", class_=_side(number))
        else:
            yield tag("td", text(value), quiet, class_=_side(number))


def _side(is_number: bool) -> str | None:
    return "number" if is_number else None


def _run(results: Results) -> str:
    """How to get the same numbers again: command, hardware, versions, commit, plan."""
    used = results.setting
    facts = {
        "Items": f"{len(results.items):,}",
        "Seed": results.seed,
        "Time": _duration(results.seconds),
        "Processor": used.get("processor"),
        "Accelerator": used.get("accelerator"),
        "Versions": ", ".join(
            f"{n} {used[n]}" for n in ("python", "torch", "transformers") if n in used
        ),
        "Commit": ", ".join(results.commits),
    }
    known = [(name, value) for name, value in facts.items() if value not in (None, "", "none")]
    rows = [tag("dt", name) + tag("dd", text(value)) for name, value in known]
    return tag(
        "section",
        tag("h2", "How to run it again"),
        tag("p", text(results.command), class_="command"),
        tag("dl", *rows),
        _details("Plan", results.plan),
        _details("Configuration", results.config),
    )


def _details(title: str, values: Mapping[str, Any]) -> str:
    if not values:
        return ""
    listed = json.dumps(dict(values), indent=2, ensure_ascii=False, default=str)
    return tag("details", tag("summary", title), tag("pre", text(listed)))


def _duration(secs: float) -> str:
    if secs < 90:
        return f"{secs:.3g} s"
    return f"{secs / 60:.0f} min" if secs < 5400 else f"{secs / 3600:.1f} h"
