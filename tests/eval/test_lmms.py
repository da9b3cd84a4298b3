"""The plugin for lmms-eval, over a fake of it that holds its checks (tests/fake_lmms)."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from family_models import family_model, family_prompt
from models import prompt, tiny_model
from paths import ROOT

from adaspark import doctor, record, sparsify
from adaspark.errors import UserError
from adaspark.eval.lmms.registry import MODEL
from adaspark.method.config import AdaSparkConfig
from adaspark.trace.cost import flops

GROUP = "lmms_eval.models"
GRIDS = [(4, 4, 6)]
ARGUMENTS = "pretrained=Qwen/Any,fps=2,cube=[2,2,3],attn_top_p=0.5,ffn_top_p=[0.5,1,0.2]"
CONFIG = AdaSparkConfig((2, 2, 3), 0.5, (0.5, 1.0, 0.2))


@dataclass
class Request:
    task_name: str
    doc_id: int
    inputs: dict[str, torch.Tensor]


def requests() -> list[Request]:
    grids: list[list[tuple[int, int, int]]] = [GRIDS, [(2, 6, 5)], []]
    return [Request("needle", i, prompt(grid, seed=i)) for i, grid in enumerate(grids)]


def install(folder: Path) -> None:
    """The entry point of pyproject.toml, as an installation of this tree would write it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    ((name, value),) = project["entry-points"][GROUP].items()
    info = folder / "installed-0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: installed\nVersion: 0\n")
    (info / "entry_points.txt").write_text(f"[{GROUP}]\n{name} = {value}\n")


def forget() -> None:
    ours = tuple(f"adaspark.eval.lmms.{name}" for name in ("registry", "model", "qwen3"))
    for name in [n for n in sys.modules if n.split(".")[0] == "lmms_eval" or n in ours]:
        del sys.modules[name]


@pytest.fixture
def lmms_eval(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """The fake `lmms_eval.models`, freshly imported, with this tree's plugin installed."""
    forget()
    monkeypatch.syspath_prepend(ROOT / "tests" / "fake_lmms")
    install(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield import_module("lmms_eval.models")
    forget()


def made(lmms_eval: Any, arguments: str = ARGUMENTS, *, model: str = MODEL, **more: Any) -> Any:
    cls = lmms_eval.MODEL_REGISTRY_V2.get_model_class(model)
    return cls.create_from_arg_string(arguments, {"batch_size": 1, "device": "cpu", **more})


def test_registering_loads_no_model(lmms_eval: Any) -> None:
    manifests = lmms_eval.MODEL_REGISTRY_V2.manifests
    assert set(manifests) == {MODEL, "adaspark_qwen3_vl", "adaspark_qwen3_5"}
    assert all(manifest.simple_class_path is None for manifest in manifests.values())
    assert "adaspark.eval.lmms.model" not in sys.modules
    heavy = "'torch' in sys.modules or 'transformers' in sys.modules"
    code = f"import sys, adaspark.eval.lmms.registry; sys.exit({heavy})"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_it_answers_as_a_model_sparsified_by_hand(lmms_eval: Any) -> None:
    model = made(lmms_eval)
    assert not model.is_simple and (model.fps, model.loaded_with) == (2, "sdpa")
    answers = model.generate_until(requests())
    by_hand = sparsify(tiny_model(), CONFIG)
    for request, answer in zip(requests(), answers, strict=True):
        with torch.no_grad():
            ids = by_hand.generate(**request.inputs, max_new_tokens=3, do_sample=False)
        assert ids[0, -len(answer) :].tolist() == answer
    assert answers != made(lmms_eval, "attn_top_p=0,ffn_top_p=0").generate_until(requests())


@pytest.mark.parametrize("family", ["qwen3_vl", "qwen3_5"])
def test_newer_families_answer_and_their_costs_are_json(
    lmms_eval: Any, tmp_path: Path, family: str
) -> None:
    """Layers without attention have no density: null, which JSON has."""
    path, config = tmp_path / "costs.jsonl", "cube=[2,2,3],attn_top_p=0.5,ffn_top_p=0.5"
    model = made(lmms_eval, f"{config},costs={path}", model=f"adaspark_{family}")
    asked = [Request("needle", 0, family_prompt(family, GRIDS))]
    answers = model.generate_until(asked)
    by_hand = sparsify(family_model(family), AdaSparkConfig((2, 2, 3), 0.5, 0.5))
    with torch.no_grad():
        ids = by_hand.generate(**asked[0].inputs, max_new_tokens=3, do_sample=False)
    assert ids[0, -len(answers[0]) :].tolist() == answers[0]
    (line,) = map(json.loads, path.read_text("utf-8").splitlines())
    layers = line["attention_by_layer"]
    assert layers.count(None) == (3 if family == "qwen3_5" else 0) and layers[-1] < 1
    assert line["video_tokens"] == 96 and "NaN" not in path.read_text("utf-8")


def test_costs_are_those_of_each_request_and_change_no_answer(
    lmms_eval: Any, tmp_path: Path
) -> None:
    path = tmp_path / "costs.jsonl"
    model = made(lmms_eval, f"{ARGUMENTS},costs={path}")
    assert model.generate_until(requests()) == made(lmms_eval).generate_until(requests())
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert [(line["task"], line["doc_id"]) for line in lines] == [("needle", i) for i in range(3)]
    assert [line["video_tokens"] for line in lines] == [96, 60, 0]
    by_hand = sparsify(tiny_model(), CONFIG)
    for line, request in zip(lines[:2], requests(), strict=False):
        with torch.no_grad(), record(by_hand) as trace:
            by_hand(**request.inputs)
        assert AdaSparkConfig.from_dict(line["config"]) == CONFIG
        assert line["flops"]["sparse"] == flops(trace).sparse.total
        assert line["ffn_by_layer"] == [layer.ffn_density for layer in trace.layers]
        assert line["attention_density"] == trace.attention_density < 1
    model.generate_until(requests()[:1])
    assert len(path.read_text("utf-8").splitlines()) == 4


REFUSED = {
    "cube=[4,8]": "three whole numbers of at least 1",
    "cube=4x8x8": "got '4x8x8'",
    "attn_top_p=[0.9;0.8]": "must be a number from 0 to 1, got '[0.9;0.8]'",
    "ffn_top_p=2": "ffn_top_p must be a number from 0 to 1, got 2",
    "attn_top_p=[0.9,0.8]": "given for 2 layers and this model has 3",
}


@pytest.mark.parametrize("arguments", REFUSED)
def test_arguments_that_cannot_be_used_are_refused(lmms_eval: Any, arguments: str) -> None:
    with pytest.raises(UserError) as raised:
        made(lmms_eval, arguments)
    assert REFUSED[arguments] in str(raised.value)


def test_costs_of_a_batch_are_refused_and_others_arguments_are_the_parents(
    lmms_eval: Any, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="set batch_size to 1"):
        made(lmms_eval, f"costs={tmp_path / 'costs.jsonl'}", batch_size="4")
    with pytest.raises(AssertionError, match="Unexpected kwargs"):
        made(lmms_eval, "colour=red")
    assert made(lmms_eval, "attn_implementation=eager").loaded_with == "eager"


def test_doctor_says_whether_the_plugin_loads(
    lmms_eval: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (absent,) = doctor._lmms_eval()
    assert absent.found == "not installed" and "adaspark-studio[eval]" in absent.remedy
    monkeypatch.setattr(doctor, "version", lambda name: "0.7.3")
    found, plugin = doctor._lmms_eval()
    assert (found.found, plugin.found, plugin.remedy) == ("0.7.3", f"loads: --model {MODEL}", "")
    lmms_eval.MODEL_REGISTRY_V2.manifests.clear()
    _, plugin = doctor._lmms_eval()
    assert f"does not load (Model '{MODEL}' not found" in plugin.found
    assert plugin.remedy and not plugin.required
