"""The README tells the truth: its Python runs, its commands parse or run, its files exist."""

from __future__ import annotations

import re
import shlex
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from models import prompt, tiny_model
from paths import ROOT
from transformers import AutoProcessor

from adaspark import Trace, cli
from adaspark.bench.readme_figures import figures
from adaspark.eval.cli import command_parser
from app.__main__ import main as app_main
from app.web.limits import SWITCHES

README = (ROOT / "README.md").read_text("utf-8")
GUIDE = (ROOT / ".github" / "CONTRIBUTING.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
COMMANDS = [
    line
    for kind, block in BLOCKS
    if not kind
    for line in block.splitlines()
    if line.startswith(("adaspark ", "make "))
]
SAID = re.findall(r"`([^`\n]+)`", GUIDE)
COMMANDS += [said for said in SAID if said.startswith(("adaspark ", "make "))]
COMMANDS += re.findall(r"^make \w+", GUIDE, re.MULTILINE)


OWN_PARSERS = ("inspect", "tune")


def test_the_readme_has_commands_and_python() -> None:
    assert any(command.startswith("make demo") for command in COMMANDS)
    assert sum(command.startswith("adaspark") for command in COMMANDS) >= 3
    assert any(kind == "python" for kind, _ in BLOCKS)


def test_its_python_runs(capsys: pytest.CaptureFixture[str]) -> None:
    code = next(block for kind, block in BLOCKS if kind == "python")
    names: dict[str, Any] = {"model": tiny_model(), "inputs": prompt([(8, 4, 4)])}
    exec(compile(code, "README.md", "exec"), names)
    densities = [float(number) for number in capsys.readouterr().out.split()]
    assert all(0 < density < 1 for density in densities)
    assert isinstance(names["trace"], Trace)


def test_its_conversation_runs_offline(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kinds = [kind for kind, block in BLOCKS if "Conversation(" in block]
    assert kinds == ["python"] and "`engine.ask(" not in README
    code = next(block for _, block in BLOCKS if "Conversation(" in block)
    monkeypatch.chdir(ROOT)
    exec(compile(code, "README.md", "exec"), {})
    told = capsys.readouterr().out.splitlines()
    assert told == ["blue None", "red 2053"] and ", then ".join(told) in code


def test_what_needs_torchvision_is_said() -> None:
    assert "torchvision is not needed" not in README
    example = README.split("## Five lines of Python")[1].split("\n## ")[0]
    assert "torchvision" in example and "torchvision" in README.split("## Limits\n")[-1]
    if find_spec("torchvision") is None:
        with pytest.raises(ImportError, match="Torchvision"):
            AutoProcessor.from_pretrained(ROOT / "assets" / "mini")


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("make")])
def test_its_make_targets_exist(command: str) -> None:
    target = command.split()[1]
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("adaspark")])
def test_its_commands_parse(command: str) -> None:
    _, *arguments = shlex.split(command, comments=True)
    parsed, rest = cli.build_parser().parse_known_args(arguments)
    assert callable(parsed.run)
    if arguments[:2] == ["eval", "table"]:
        assert len(arguments) == 3
    elif arguments[0] in ("eval", "calibrate"):
        name, *options = arguments[arguments[0] == "eval" :]
        plan = import_module(f"adaspark.eval.{name}.run").Plan
        assert command_parser(name, plan).parse_args(options)
    elif arguments[0] in OWN_PARSERS:
        module = import_module(f"adaspark.{arguments[0]}.cli")
        assert module.parser().parse_args(arguments[1:])
    else:
        assert not rest or arguments[0] == "app"


def test_its_first_question_is_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = next(c for c in COMMANDS if c.startswith("adaspark ask assets/"))
    _, *arguments = shlex.split(command, comments=True)
    clip = ROOT / arguments[1]
    monkeypatch.chdir(tmp_path)
    assert cli.main([arguments[0], str(clip), *arguments[2:]]) == 0
    assert '"attention_density"' in capsys.readouterr().out
    assert (tmp_path / arguments[-1]).stat().st_size > 10_000


@pytest.mark.parametrize("said", [said for said in SAID if " -m " in said])
def test_the_guide_s_modules_and_tests_are_there(said: str) -> None:
    module, *arguments = said.split(" -m ")[1].split()
    assert find_spec(module) is not None
    for path in arguments:
        assert path.isupper() or (ROOT / path).exists(), path


def test_the_guide_names_what_is_there() -> None:
    paths = [said for said in SAID if re.fullmatch(r"[\w.]+(?:/[\w.]+)*/?", said) and "/" in said]
    assert len(paths) >= 20
    for path in paths:
        assert (ROOT / path).exists(), path
    names = re.findall(r"`([\w/]+\.py)` \(`(\w+)`", GUIDE)
    assert names
    for path, name in names:
        assert re.search(rf"\b{name}\b", (ROOT / path).read_text("utf-8")), (path, name)


def test_files_it_names_exist() -> None:
    linked = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)
    named = re.findall(r"`((?:tests|adaspark|assets)/[\w./]+)`", README)
    missing = [name for name in {*linked, *named} if not (ROOT / name).exists()]
    assert linked
    assert not missing


def test_the_tests_that_hold_what_security_promises_are_there() -> None:
    promised = (ROOT / ".github" / "SECURITY.md").read_text("utf-8")
    named = re.findall(r"`((?:tests|app)/[\w./]+)`", promised)
    assert len(named) >= 10
    assert not [name for name in named if not (ROOT / name).exists()]
    switches = set(re.findall(r"`(ADASPARK_\w+)`", promised))
    assert switches and switches <= SWITCHES.keys()


def test_every_option_of_ask_is_named() -> None:
    parser = cli.build_parser()
    ask = next(iter(parser._subparsers._group_actions[0].choices.items()))[1]  # type: ignore[union-attr]
    options = {o for action in ask._actions for o in action.option_strings if o.startswith("--")}
    assert {o for o in options - {"--help"} if f"`{o}" not in README} == set()


def test_its_figures_are_the_committed_results() -> None:
    shown = README.split("<!-- figures -->")[1].strip()
    assert shown == figures().strip()


def test_a_space_finds_what_it_needs() -> None:
    """The front matter of a Docker Space agrees with what is beside it."""
    _, block, _ = README.split("---\n", 2)
    told = dict(line.split(": ", 1) for line in block.strip().splitlines())
    docker = (ROOT / "Dockerfile").read_text("utf-8")
    assert told["sdk"] == "docker" and len(told["short_description"]) <= 60
    hub_colours = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}
    assert {told["colorFrom"], told["colorTo"]} <= hub_colours
    assert f"EXPOSE {told['app_port']}\n" in docker
    assert f'"--port", "{told["app_port"]}"' in docker and '"0.0.0.0"' in docker
    assert "--uid 1000" in docker and "\nUSER 1000\n" in docker
    assert f'license = "{told["license"]}"' in (ROOT / "pyproject.toml").read_text().lower()


def test_every_switch_of_the_server_is_named_by_its_help(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        app_main(["--help"])
    told = capsys.readouterr().out
    assert [name for name in (*SWITCHES, "ADASPARK_MODEL") if name not in told] == []
    named = re.findall(r"`(ADASPARK_\w+)=", README)
    assert named and set(named) <= SWITCHES.keys()


def test_the_tree_names_every_room() -> None:
    tree = README[README.index("## Where things are") :].split("```")[1]
    rooms = {path.parent.name for path in (ROOT / "adaspark").glob("*/__init__.py")}
    assert rooms and rooms == set(re.findall(r"^  (\w+)/", tree, re.MULTILINE))
