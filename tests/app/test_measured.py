"""The paper's figures as questions: what is drawn and said is what was measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from paths import ROOT
from starlette.applications import Starlette
from starlette.testclient import TestClient

from adaspark.assets import ASSETS, RESULTS
from app.web.measured import fidelity_rows, routes
from viz.figures.measured import QUESTIONS, measured, sizes


@pytest.fixture(scope="module")
def client() -> TestClient:
    return TestClient(Starlette(routes=routes(ASSETS)))


def results(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((RESULTS / name / "results.json").read_text())
    return found


@pytest.mark.parametrize("name", QUESTIONS)
def test_each_point_of_a_figure_is_a_number_of_its_table(client: TestClient, name: str) -> None:
    asked = QUESTIONS[name]
    answer = client.get(f"/studio/measured/{name}.json").json()
    written = {
        value[0] if isinstance(value, list) else value
        for table in results(asked.experiment)["tables"]
        for row in table["rows"]
        for value in row
    }
    drawn = [y for part in answer["figure"]["data"] for y in part["y"]]
    assert drawn and set(drawn) <= written
    assert answer["rows"] and answer["sentence"].endswith(".")


def test_an_axis_of_powers_names_each_of_its_numbers(client: TestClient) -> None:
    axis = client.get("/studio/measured/ffn.json").json()["figure"]["layout"]["yaxis"]
    named = dict(zip(axis["tickvals"], axis["ticktext"], strict=True))
    assert axis["type"] == "log" and {0.2: "0.2", 0.5: "0.5", 2: "2"}.items() <= named.items()


@pytest.mark.parametrize("name", [name for name, asked in QUESTIONS.items() if "{" in asked.table])
def test_each_size_of_clips_has_numbers_of_its_own(client: TestClient, name: str) -> None:
    asked, found = QUESTIONS[name], results(QUESTIONS[name].experiment)
    tables = [measured(found, asked, size) for size in sizes(found, asked)]
    assert len(tables) > 1 and all(tables)
    assert len({json.dumps(table) for table in tables}) == len(tables)
    told = {client.get(f"/studio/measured/{name}.json?clips={s}").text for s in sizes(found, asked)}
    assert len(told) == len(tables)


def test_the_questions_are_those_of_the_paper_s_figures(client: TestClient) -> None:
    told = client.get("/studio/measured/questions.json").json()
    assert {each["figure"] for each in told["questions"].values()} == {1, 3, 4, 5}
    assert all("commit" in each["how"] for each in told["questions"].values())
    assert told["fidelity"]["rows"] and told["fidelity"]["measured"]


def test_the_fidelity_table_is_the_readme_s(tmp_path: Path) -> None:
    rows = fidelity_rows(ROOT / "README.md")
    assert rows[0][0] == "cubes" and all(len(row) == 3 for row in rows)
    assert fidelity_rows(tmp_path / "none.md") == []


def test_without_results_the_page_says_so(tmp_path: Path) -> None:
    client = TestClient(Starlette(routes=routes(tmp_path)))
    told = client.get("/studio/measured/questions.json").json()
    assert all("how" not in each for each in told["questions"].values())
    assert client.get("/studio/measured/needle.json").status_code == 404
    assert client.get("/studio/measured/none.json").status_code == 404
