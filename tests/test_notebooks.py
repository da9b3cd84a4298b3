"""The notebooks of assets/examples run from top to bottom, and show what is committed of them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import badges
import pytest
from long import some_of
from paths import ASSETS, ROOT

nbclient = pytest.importorskip("nbclient")
nbformat = pytest.importorskip("nbformat")

EXAMPLES = sorted((ASSETS / "examples").glob("*.ipynb"))
BY_COST = sorted(EXAMPLES, key=lambda path: path.stem != "sparse_layers")
"""The one that loads no model comes first."""
SMALL_BYTES = 600_000


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@some_of("path", BY_COST, ids=[path.stem for path in BY_COST])
def test_a_notebook_runs_and_shows_what_it_did(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The studio's server turns them off for its process, which may be this one.
    monkeypatch.delenv("HF_HUB_DISABLE_PROGRESS_BARS", raising=False)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    committed = nbformat.read(path, as_version=4)
    again = nbformat.from_dict(committed)
    for cell in again.cells:
        if cell.cell_type == "code":
            cell.outputs = []
    where = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(again, timeout=300, kernel_name="python3", resources=where).execute()
    shown = read_outputs(nbformat.read(path, as_version=4))
    assert read_outputs(again) == shown


def read_outputs(notebook: Any) -> list[list[tuple[str, tuple[str, ...]]]]:
    """The kinds of every code cell's outputs."""
    return [
        [(output.output_type, tuple(sorted(output.get("data", {})))) for output in cell.outputs]
        for cell in notebook.cells
        if cell.cell_type == "code"
    ]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_a_notebook_is_small_and_without_errors(path: Path) -> None:
    assert path.stat().st_size < SMALL_BYTES
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    said = {output.get("name", output.output_type) for output in outputs}
    assert outputs and not said & {"stderr", "error"}


def test_an_owner_s_name_links_every_notebook_to_colab(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in EXAMPLES:
        shutil.copy(path, tmp_path)
    monkeypatch.setattr(badges, "EXAMPLES", tmp_path)
    for owner in ("somebody", "ada-lovelace"):  # the second replaces the first
        badges.main(owner)
        for path in EXAMPLES:
            linked = nbformat.read(tmp_path / path.name, as_version=4)
            nbformat.validate(linked)
            before = nbformat.read(path, as_version=4)
            heading, install = (cell.source for cell in linked.cells[:2])
            title, *_ = heading.split("\n")
            address = f"{owner}/adaspark-studio/blob/main/{path.relative_to(ROOT)}"
            assert f"](https://colab.research.google.com/github/{address})\n" in heading
            assert heading.count("colab-badge") == 1
            assert title == before.cells[0].source.split("\n")[0]
            assert f"git+https://github.com/{owner}/adaspark-studio" in install
            assert linked.cells[2:] == before.cells[2:]


def test_no_link_leads_to_nobody_s_repository() -> None:
    for path in EXAMPLES:
        assert "USER/" not in path.read_text("utf-8")
    for name in ("", "USER/", "a b", "-ada"):
        with pytest.raises(SystemExit, match="OWNER="):
            badges.main(name)


def test_there_are_four() -> None:
    assert [path.stem for path in EXAMPLES] == [
        "compare_settings", "first_look", "own_rule", "sparse_layers",
    ]  # fmt: skip
