"""`adaspark app` and `adaspark bench`: what they hand on."""

from __future__ import annotations

import pytest
from transformers.utils import logging

from adaspark.cli import main


def test_arguments_of_the_app_are_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[list[str]] = []

    def execve(path: str, argv: list[str], env: dict[str, str]) -> None:
        called.append(argv)
        raise SystemExit(0)

    monkeypatch.setattr("adaspark.cli.os.execve", execve)
    with pytest.raises(SystemExit) as ended:
        main(["app", "--port", "7861", "--no-browser"])
    assert ended.value.code == 0
    assert called[0][1:] == ["-m", "app", "--port", "7861", "--no-browser"]


def test_a_comparison_is_without_the_libraries_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[int] = []
    monkeypatch.setattr(
        "adaspark.bench.serve.run.run", lambda **_: heard.append(logging.get_verbosity()) or 0
    )
    logging.set_verbosity_warning()
    assert main(["bench", "serve"]) == 0
    assert heard == [logging.ERROR]
