"""What documents say of measurements is what the committed results and samples say."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from paths import ROOT

from adaspark import Trace
from adaspark.assets import RESULTS

README = ROOT / "README.md"
GUIDE = ROOT / ".github" / "CONTRIBUTING.md"
SECURITY = ROOT / ".github" / "SECURITY.md"
SCALE = ROOT / ".github" / "SCALE.md"
CARD = ROOT / "assets" / "mini" / "README.md"
HASH = re.compile(r"\b(?=[0-9a-f]*[0-9])(?=[0-9a-f]*[a-f])[0-9a-f]{7,40}\b")


def text(path: Path) -> str:
    """What it says, on one line."""
    return " ".join(path.read_text("utf-8").split())


def served(name: str, tokens: int) -> dict[str, dict[str, float]]:
    """Seconds of a whole request, by way and phase."""
    rows = json.loads((RESULTS / "bench" / "serve" / name).read_text("utf-8"))["rows"]
    return next(dict(row["seconds"]) for row in rows if row["video_tokens"] == tokens)


def test_a_million_hours_follow_from_the_measured_request() -> None:
    said = text(SCALE)
    seconds = served("h200_7b.json", 25_344)["recorded"]
    whole = round(seconds["whole"], 2)
    phases = ("decode", "vision", "prefill", "words", "trace", "scene")
    further = round(sum(seconds[phase] for phase in phases[2:]), 2)
    assert f"measured {whole} s for a whole recorded request" in said
    assert ", ".join(f"{phase} {seconds[phase]:.2f}" for phase in phases) in said
    hours = whole * 1e6 / 3600
    assert f"{whole} s | {hours:.0f} GPU-hours: {hours / 24:.0f} GPUs for a day" in said
    assert f"{further} s | {further * 1e6 / 3600:.0f} GPU-hours" in said


def test_the_samples_traces_are_as_large_as_is_said() -> None:
    traces = [*(ROOT / "assets" / "traces").glob("[1-6]_*.npz")]
    found = re.search(r"\((\S+) tokens, (\d+) cubes\) take (\S+) to (\S+) MB", text(SCALE))
    assert found and len(traces) == 6
    tokens, cubes, least, most = found.groups()
    for trace in map(Trace.load, traces):
        assert f"{len(trace.cube_from_token):,}" == tokens and len(trace.bounds) == int(cubes)
    sizes = [path.stat().st_size / 1e6 for path in traces]
    assert (least, most) == (f"{min(sizes):.2f}", f"{max(sizes):.2f}")


def test_what_recording_adds_on_a_gpu_is_what_was_measured() -> None:
    lengths = (4_158, 16_434, 25_344)
    prefills = [
        {way: found["prefill"] for way, found in served("h200_7b.json", tokens).items()}
        for tokens in lengths
    ]
    added = [round(100 * (each["recorded"] / each["ours"] - 1)) for each in prefills]
    changes, said = text(ROOT / ".github" / "CHANGELOG.md"), text(README)
    assert "adds {}, {} and {} % to a 7B's prefill".format(*added) in changes
    assert f"adds {added[0]} % to a prefill of 4,158 tokens of the 7B, {added[1]} % at" in said
    assert f"at 16,434 and {added[2]} % at 25,344" in said
    small = served("h200_3b_short.json", 4_158)
    ours, stock = small["ours"]["prefill"], small["stock"]["prefill"]
    assert ours > stock and f"a 3B's slower ({ours:.2f} s against {stock:.2f})" in changes
    words = {way: found["words"] for way, found in served("h200_qwen3_vl_8b.json", 16_440).items()}
    assert f"64 words in {words['ours']:.2f} s, stock in {words['stock']:.2f}" in changes


def test_the_card_calls_better_what_its_results_call_so() -> None:
    tables = json.loads((RESULTS / "families_2000" / "results.json").read_text("utf-8"))["tables"]
    tuned = next(t for t in tables if t["title"].startswith("AdaSpark, tuned against"))
    columns = [column["name"] for column in tuned["columns"]]
    rows = {row[0]: dict(zip(columns, row, strict=True)) for row in tuned["rows"]}
    better = [name for name, row in rows.items() if row["verdict"] == "better" and name != "all"]
    assert better == ["grounding"]
    points = {name: f"{100 * row['difference, points'][0]:+.1f}" for name, row in rows.items()}
    p = {name: row["McNemar's p"] for name, row in rows.items()}
    assert (
        f"grounding is better than dense ({points['grounding']}, McNemar's p = "
        f"{p['grounding']:.3f}); sides (`spatial`) are +0.4, p = {p['spatial']:.2f}"
    ) in text(CARD)


def commits(value: Any) -> Iterator[str]:
    """What a result's JSON says under a name of `commit`."""
    for name, inner in value.items() if isinstance(value, dict) else ():
        if name.startswith("commit"):
            yield from HASH.findall(json.dumps(inner))
        else:
            yield from commits(inner)
    for inner in value if isinstance(value, list) else ():
        yield from commits(inner)


def history() -> list[str]:
    """All commits of this clone; skips where there is none or only a part of it."""
    try:
        found = subprocess.run(
            ["git", "rev-list", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True
        )
        whole = subprocess.run(
            ["git", "rev-parse", "--is-shallow-repository"],
            cwd=ROOT, capture_output=True, text=True, check=True,
        )  # fmt: skip
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a clone")
    if whole.stdout.strip() != "false":
        pytest.skip("a shallow clone")
    return found.stdout.split()


def test_every_commit_that_is_named_is_in_the_history_or_explained() -> None:
    known = history()
    named = {h for path in (README, SECURITY, SCALE, CARD) for h in HASH.findall(text(path))}
    for path in RESULTS.rglob("*.json"):
        named |= set(commits(json.loads(path.read_text("utf-8"))))
    assert len(named) >= 20
    lost = {name for name in named if not any(commit.startswith(name) for commit in known)}
    explained = text(GUIDE).split("commits that are not in this history", 1)[-1]
    assert lost == set(re.findall(r"`([0-9a-f]{7,40})`", explained.split("##")[0]))
