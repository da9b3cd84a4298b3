"""Who may import whom, what an import costs, and what lies at the top of the repository."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from paths import ROOT

TOP = {"app", "adaspark", "viz", "assets", "tests", "Dockerfile", "requirements.txt", "README.md"}
BY_CONVENTION = {"pyproject.toml", "Makefile", "LICENSE"}
BELOW = {
    "adaspark.method": set(),
    "adaspark.kernels": {"adaspark.method"},
    "adaspark.trace": {"adaspark.method"},
    "adaspark.video": set(),
    "adaspark.model": {"adaspark.method", "adaspark.kernels", "adaspark.trace", "adaspark.video"},
    "viz": set(),
}
"""The rooms that each may look into; those not named here stand on top of these."""
FLOOR = {"adaspark", "adaspark.errors", "adaspark.assets", "adaspark.files"}
"""What any room of adaspark may use: sentences, paths, whole files, the version."""


MANY = 14
"""No file may be imported by more files of the product than this, but those of KNOWN_TO_ALL."""
KNOWN_TO_ALL = {"adaspark.errors", "adaspark.method.config", "adaspark.trace.trace"}


SEAM = "adaspark.trace.notebook"
"""The one file that looks up: a Trace in a notebook has its picture made, when it is asked for."""


@cache
def imports() -> dict[str, set[str]]:
    """Every module of the three packages, and the dotted names that it imports anywhere."""
    return {name: set(_imported(path, name)) for name, path in _modules()}


def _modules() -> Iterator[tuple[str, Path]]:
    for package in ("adaspark", "viz", "app"):
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            yield ".".join(parts).removesuffix(".__init__"), path


def _imported(path: Path, name: str) -> Iterator[str]:
    tree = ast.parse(path.read_text("utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            node.body = []  # types alone: nothing is loaded
    return _named(tree, name)


def _named(tree: ast.Module, name: str) -> Iterator[str]:
    """The dotted names that a module's imports name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} imports relatively"
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def importers(target: str) -> set[str]:
    """The modules that import `target` or something inside it."""
    return {
        name
        for name, targets in imports().items()
        if any(found == target or found.startswith(f"{target}.") for found in targets)
    }


def inside(package: str) -> set[str]:
    return {n for n in imports() if n == package or n.startswith(f"{package}.")}


def test_the_walk_sees_the_whole_project() -> None:
    assert {
        "adaspark",
        "adaspark.model.qwen",
        "viz.report.page",
        "app.service.service",
    } <= imports().keys()
    assert "adaspark.trace.trace" in imports()["adaspark.trace.recorder"]


def room(module: str) -> str:
    """`adaspark.method` of `adaspark.method.ffn`; `viz` and `app` are rooms of their own here."""
    parts = module.split(".")
    return ".".join(parts[: 2 if parts[0] == "adaspark" else 1])


@cache
def arrows() -> dict[str, set[str]]:
    """From each module of the project to those of the project that it imports."""
    return {name: _of_the_project(targets) for name, targets in imports().items()}


def _of_the_project(targets: set[str]) -> set[str]:
    """`from package import module` names both; the package's own __init__ is empty."""
    deepest = targets & imports().keys()
    return {t for t in deepest if not any(other.startswith(f"{t}.") for other in deepest)}


def known_by() -> dict[str, set[str]]:
    """The modules that import each module of the product, be it for a type alone."""
    found: dict[str, set[str]] = {name: set() for name in imports()}
    for name, path in _modules():
        for target in _of_the_project(set(_named(ast.parse(path.read_text("utf-8")), name))):
            found[target].add(name)
    return found


@pytest.mark.parametrize("name", BELOW)
def test_no_room_looks_into_one_above_it(name: str) -> None:
    allowed = BELOW[name] | {name} | (FLOOR if name.startswith("adaspark") else set())
    for module in inside(name):
        seam = {"viz"} if module == SEAM else set()
        above = {target for target in arrows()[module] if room(target) not in allowed | seam}
        assert not above, f"{module} imports {', '.join(sorted(above))}"


def test_there_is_no_circle() -> None:
    left = {name: set(targets) - {name} for name, targets in arrows().items()}
    while free := {name for name, targets in left.items() if not targets}:
        left = {name: targets - free for name, targets in left.items() if name not in free}
    assert not left, f"these import each other: {', '.join(sorted(left))}"


def test_no_file_is_known_to_too_many() -> None:
    """What everybody imports cannot change, and tells nobody where things belong."""
    for name, importing in known_by().items():
        assert name in KNOWN_TO_ALL or len(importing) <= MANY, (
            f"{name} is imported by {len(importing)} files, at most {MANY} may:\n"
            f"{', '.join(sorted(importing))}.\n"
            "Import each name from the file that defines it; make a helper a method of the data it "
            "works on; hand over an object instead of making it in many places; split a file that "
            "has two subjects."
        )


def test_the_command_line_is_on_top() -> None:
    assert importers("adaspark.cli") <= {"adaspark.__main__"}


@pytest.mark.parametrize("target", ["torch", "gradio", "adaspark", "transformers", "app"])
def test_pictures_know_no_model_and_no_page(target: str) -> None:
    assert not importers(target) & inside("viz")


def test_nobody_imports_the_app() -> None:
    assert importers("app") <= inside("app")


def test_answering_knows_nothing_of_the_training_world() -> None:
    above = inside("adaspark.mini") | inside("adaspark.eval") | inside("adaspark.bench")
    assert importers("adaspark.mini") <= above | {"adaspark.cli"}


def test_only_the_app_imports_gradio() -> None:
    assert importers("gradio") <= inside("app") and importers("gradio")


def test_the_screen_imports_no_torch() -> None:
    assert "app.page.ui" not in importers("torch")


def test_few_rooms_know_transformers() -> None:
    rooms = {"adaspark.model", "adaspark.mini", "adaspark.eval", "adaspark.bench"}
    found = {room(module) for module in importers("transformers")}
    assert found <= rooms | {"adaspark.cli", "adaspark.doctor"}


def test_two_files_know_the_model_s_modules() -> None:
    found = importers("transformers.models.qwen2_5_vl")
    assert found <= {"adaspark.model.calls", "adaspark.model.modules"} | inside("adaspark.mini")


def test_torchvision_is_imported_nowhere() -> None:
    assert not importers("torchvision")


def loaded_by(code: str) -> set[str]:
    """The modules that a fresh interpreter holds after running `code`."""
    script = f"import sys\n{code}\nprint(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


def test_importing_the_package_is_fast() -> None:
    assert not loaded_by("import adaspark") & {"torch", "transformers", "numpy", "gradio"}


def test_the_command_line_loads_no_model_to_say_what_is_wrong() -> None:
    assert not loaded_by("import adaspark.cli") & {"torch", "transformers"}


def test_the_first_page_waits_for_no_torch() -> None:
    assert not loaded_by("import app.web.server") & {"torch", "transformers"}


def test_reading_a_trace_and_drawing_it_load_no_torch() -> None:
    loaded = loaded_by(
        "import adaspark.trace.trace, viz.report.page, viz.figures.figures, viz.data.scene"
    )
    assert not loaded & {"torch", "transformers", "gradio"}


def test_what_reads_an_upload_holds_no_model_and_no_server() -> None:
    loaded = loaded_by("import app.media.reader.process, viz.video.difference, viz.video.overlay")
    assert not loaded & {"torch", "transformers", "gradio", "starlette"}


@pytest.mark.long
def test_evaluations_are_computed_without_decoder_and_plots() -> None:
    from adaspark.eval.cli import COMMANDS

    modules = ", ".join(f"adaspark.eval.{name}.run" for name in COMMANDS)
    assert not loaded_by(f"import adaspark.eval.cli, {modules}") & {"av", "matplotlib", "gradio"}


def test_every_public_name_is_there_and_torchvision_is_never_loaded_at_run_time() -> None:
    names = "import adaspark\nfor name in adaspark.__all__: getattr(adaspark, name)"
    rooms = "import adaspark.model.engine, adaspark.model.qwen, app.service.service"
    loaded = loaded_by(f"{names}\n{rooms}")
    assert "transformers" in loaded
    assert not {name for name in loaded if name.split(".")[0] == "torchvision"}


def test_an_unknown_name_is_an_attribute_error() -> None:
    import adaspark

    with pytest.raises(AttributeError, match="no attribute 'sparsity'"):
        adaspark.sparsity  # noqa: B018


def test_nothing_else_lies_at_the_top() -> None:
    done = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip("not a git checkout")
    top = {line.split("/")[0] for line in done.stdout.splitlines()}
    assert {name for name in top if not name.startswith(".")} <= TOP | BY_CONVENTION


def test_there_is_one_version_and_types_are_said_to_be_there() -> None:
    import adaspark

    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    source = project["tool"]["setuptools"]["dynamic"]["version"]["attr"]
    assert "version" not in project["project"] and source == "adaspark.__version__"
    assert re.fullmatch(r"\d+\.\d+\.\d+", adaspark.__version__)
    changes = (ROOT / ".github" / "CHANGELOG.md").read_text("utf-8")
    assert f"\n## {adaspark.__version__}" in changes
    for package in ("adaspark", "viz"):
        assert (ROOT / package / "py.typed").is_file()
        assert "py.typed" in project["tool"]["setuptools"]["package-data"][package]


def test_the_tree_stays_light() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("not a clone")
    files = [ROOT / name for name in listed.stdout.split("\0") if name]
    assert sum(path.stat().st_size for path in files if path.is_file()) <= 36 * 2**20
