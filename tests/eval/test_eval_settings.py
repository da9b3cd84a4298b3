"""Settings against dense: what a setting's text means, and whose loss is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from evaluated import context

from adaspark.errors import UserError
from adaspark.eval.settings import run as settings
from adaspark.eval.settings.report import compared, findings, summarise
from adaspark.method.config import AdaSparkConfig

PLAN = settings.Plan(
    settings=("2,2,2/0.3/1/0.25", "2,2,2/0.3/-/0.25"), length="16x112", clips=3, questions=2
)


def item(seed: int, condition: str, flops: float, scores: dict[str, float]) -> dict[str, Any]:
    return {
        "key": ["16x112", condition, seed],
        "flops": flops,
        "attention": flops / 2,
        "ffn": flops,
        "questions": [[family, score, 0.0, None] for family, score in scores.items()],
    }


ITEMS = [
    item(seed, name, flops, {"needle": 1.0, "count": right(seed)})
    for seed in range(40)
    for name, flops, right in (
        ("dense", 1.0, lambda _: 1.0),
        ("cheap", 0.2, lambda seed: float(seed % 4 > 0)),
        ("dear", 0.5, lambda _: 1.0),
    )
]


def test_a_setting_is_cube_p_text_ffn() -> None:
    own = settings.setting("1,2,2/.5/1/.25").config
    assert own == AdaSparkConfig((1, 2, 2), 0.5, 0.25, text_top_p=1.0)
    assert settings.setting("1,2,2/.5/-/.25").config.text_top_p is None
    layered = settings.setting("1,2,2/.5/1/.5,.25").config
    by_input = settings.setting("4,4,4/.5/1/.25/input").config
    assert by_input.ffn_importance == "input" and layered.ffn_importance == "residual"
    assert layered.ffn_top_p == (0.5, 0.25) and layered.text_top_p == 1


@pytest.mark.parametrize(
    "text", ["1,2,2/.5/1", "1,2/.5/1/.25", "a/.5/1/.25", "1,2,2/.5/1/2", "1,2,2/.5/1/.2/x"]
)
def test_a_setting_that_cannot_be_used_is_refused(text: str) -> None:
    with pytest.raises(UserError, match=r"such as|from 0 to 1|one of"):
        settings.Plan(settings=(text,))


def test_the_cheapest_that_no_family_loses_at_is_named() -> None:
    cheap, dear = compared(ITEMS)
    assert (cheap.name, cheap.worst, cheap.holds) == ("cheap", "count", False)
    assert cheap.families["count"].difference.value == pytest.approx(-0.25)
    assert cheap.families["needle"].difference.value == 0
    assert dear.holds and "dear, 50.0 % of dense FLOPs" in next(findings(ITEMS))
    costly = [each for each in ITEMS if each["key"][1] != "dear"]
    assert next(findings(costly)).startswith("At no setting")


def test_all_settings_answer_the_same_questions(tmp_path: Path) -> None:
    running = context(tmp_path, PLAN)
    settings.run(PLAN, running)
    names = {each["key"][1] for each in running.results.items}
    assert names == {"dense", *PLAN.settings}
    asked = {each["key"][2]: len(each["questions"]) for each in running.results.items}
    table, by_family, scores = summarise(running.results.items)
    assert len(table.rows) == len(by_family.rows) == len(PLAN.settings)
    assert sum(row[1] for row in scores.rows) == sum(asked.values())
    flops = {row[0]: row[1] for row in table.rows}
    assert flops["2,2,2/0.3/-/0.25"] < flops["2,2,2/0.3/1/0.25"] < 1
    before = len(running.results.items)
    settings.run(PLAN, context(tmp_path, PLAN))
    assert len(context(tmp_path, PLAN).results.items) == before
