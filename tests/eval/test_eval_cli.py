"""`adaspark eval`: what it lists, refuses, takes up, leaves out and redraws."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from adaspark import cli as commands
from adaspark.eval import cli
from adaspark.eval.harness.runner import Runner
from adaspark.eval.report.results import load
from adaspark.model import checkpoint

NAMES = list(cli.COMMANDS)
TINY = ["--items", "1", "--lengths", "16x112", "--families", "needle", "count"]
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """The whole command line in this process: exit code, standard output, standard error."""

    def run_one(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        try:
            code = commands.main(arguments)
        except SystemExit as ended:
            code = int(ended.code or 0)
        return code, *capsys.readouterr()

    return run_one


@pytest.fixture
def no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading or asking a model is an error."""

    def forbidden(*_: Any, **__: Any) -> Any:
        raise AssertionError("no model is needed for this")

    monkeypatch.setattr(checkpoint, "load", forbidden)
    monkeypatch.setattr(Runner, "run", forbidden)


def test_help_lists_every_command(run: Run) -> None:
    code, out, _ = run("eval", "--help")
    assert code == 0
    for name, purpose in cli.COMMANDS.items():
        assert name in out and purpose.split()[0] in out


@pytest.mark.parametrize("name", NAMES)
def test_a_command_is_a_plan_a_run_tables_and_pictures(name: str) -> None:
    module = import_module(f"adaspark.eval.{name}.run")
    full, quick = module.Plan(), module.Plan.quick()
    assert quick != full and module.__doc__
    assert all(callable(getattr(module, each)) for each in ("run", "summarise", "draw"))
    assert module.summarise([]) == []
    json.dumps(vars(full))  # a plan names its items on disk


@pytest.mark.parametrize("name", NAMES)
def test_every_option_of_a_plan_is_on_the_command_line(name: str, run: Run) -> None:
    code, out, _ = run("eval", name, "--help")
    assert code == 0
    for each in fields(import_module(f"adaspark.eval.{name}.run").Plan):
        if "help" in each.metadata:
            assert f"--{each.name.replace('_', '-')}" in out


def test_typed_options_go_over_the_quick_plan() -> None:
    plan = import_module("adaspark.eval.families.run").Plan
    typed = ["--quick", "--items", "3", "--lengths", "8x56", "16x112"]
    given = vars(cli.command_parser("families", plan).parse_args(typed))
    made = cli.plan_of(plan, given)
    assert made.items == 3 and made.lengths == ("8x56", "16x112")
    assert made.control_clips == plan.quick().control_clips


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nothing"],
        ["families", "--no-such-option"],
        ["families", "--items", "0"],
        ["families", "--items", "some"],
        ["families", "--lengths", "7x112"],
        ["families", "--lengths", "16x100"],
        ["families", "--lengths", "long"],
        ["families", "--families", "colour"],
        ["families", "--attn-top-p", "2"],
        ["families", "--model", "no-such-folder"],
        ["families", "--redraw", "no-such-folder"],
        ["niah", "--variants", "hay"],
        ["niah", "--depths", "1"],
        ["niah", "--needle-secs", "0"],
        ["case", "--families", "nothing"],
    ],
    ids=" ".join,
)
def test_what_cannot_be_used_is_refused_in_one_line(
    arguments: list[str], run: Run, no_model: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, err = run("eval", *arguments)
    assert code == 2
    assert len(err.splitlines()) == 1 and err.startswith("adaspark: ")
    assert not list(tmp_path.iterdir())


def test_a_run_is_taken_up_and_drawn_again_without_a_model(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "families"
    code, said, _ = run("eval", "families", *TINY, "--device", "cpu", "--out", str(out))
    assert code == 0 and "Answers" in said
    items = gzip.decompress((out / "items.jsonl.gz").read_bytes())
    result = json.loads((out / "results.json").read_text("utf-8"))
    assert result["label"] == "S" and result["items"] == len(items.splitlines()) == 2
    assert str(tmp_path) not in result["command"] and "--items 1" in result["command"]
    page = (out / "index.html").read_text("utf-8")
    assert "Small model, synthetic video" in page and result["command"] in page

    def forbidden(*_: Any, **__: Any) -> Any:
        raise AssertionError("all items are there")

    monkeypatch.setattr(Runner, "run", forbidden)
    code, again, _ = run("eval", "families", *TINY, "--device", "cpu", "--out", str(out))
    assert code == 0 and gzip.decompress((out / "items.jsonl.gz").read_bytes()) == items
    assert again.split("\n\n", 1)[1] == said.split("\n\n", 1)[1]

    monkeypatch.setattr(checkpoint, "load", forbidden)
    (out / "index.html").unlink()
    code, redrawn, _ = run("eval", "families", "--redraw", str(out))
    assert code == 0 and (out / "index.html").read_text("utf-8") == page
    assert redrawn.split("\n\n", 1)[1] == said.split("\n\n", 1)[1]


@pytest.mark.parametrize("name", ["families", "niah", "case"])
def test_a_spent_budget_leaves_out_what_it_names(name: str, run: Run, tmp_path: Path) -> None:
    options = ["--quick", "--items", "1", "--budget-secs", "0", "--device", "cpu"]
    code, said, _ = run("eval", name, *options, "--out", str(tmp_path))
    assert code == 0 and "left out" in said
    results = load(tmp_path)
    assert not results.items and results.data["left_out"]
    assert "left out" in (tmp_path / "index.html").read_text("utf-8")


def test_without_matplotlib_tables_are_saved_and_said(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli, "find_spec", lambda name: None)
    options = [*TINY, "--device", "cpu", "--out", str(tmp_path)]
    code, said, _ = run("eval", "families", *options)
    assert code == 0 and f"--redraw {tmp_path}" in said and "Cost" in said
    assert not list(tmp_path.glob("*.png"))
    assert [table.title for table in load(tmp_path).tables][-1] == "Controls"
