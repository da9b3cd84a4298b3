"""The controls of a run: thresholds, budget, cube, sampling, length.

Scripts act on them at once (preview, ribbon) and then trigger the viewer's own events.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from adaspark.method.config import AdaSparkConfig, TopP, one_number
from app.page import templates
from app.page.calibration import TEXT, Calibration
from app.page.scripts import returning

PRIVATE = {"api_visibility": "private", "show_progress": "hidden", "trigger_mode": "multiple"}
CUSTOM = "custom"
PRESETS = {
    "2 x 2 x 2": (2, 2, 2),
    "4 x 4 x 4": (4, 4, 4),
    "1 x 8 x 8, flat": (1, 8, 8),
    "16 x 2 x 2, tube": (16, 2, 2),
}
"""Names of cube shapes; the last three have the same volume."""
IMPORTANCE_NAMES = {"residual": "Residual norm (paper)", "input": "FFN input norm (ours)"}
"""Of each of `adaspark.method.rules.IMPORTANCES`, what the page calls it."""


@dataclass(frozen=True)
class Dials:
    """The controls; `controls` has their values in the order of `app.service.settings.Settings`."""

    thresholds: list[Any]
    text: Any
    importance: Any
    budget: Any | None
    preset: Any
    cube: list[Any]
    sampling: list[Any]
    words: Any
    size: list[Any]

    @property
    def controls(self) -> list[Any]:
        """What a run depends on; budget and preset only set others."""
        return [*self.thresholds, *self.cube, *self.sampling, self.words, *self.size, *self.own]

    @property
    def own(self) -> list[Any]:
        """Those that are ours, not the paper's."""
        return [self.text, self.importance]


def build_dials(
    config: AdaSparkConfig,
    calibration: Calibration | None,
    budget_value: float,
    *,
    runs: bool = True,
) -> Dials:
    """The controls at a configuration's values; the budget dial, at `budget_value`, only if the
    model was calibrated.

    Without a model that `runs`, only the thresholds can be moved: they act on recorded scores.
    """
    with gr.Column(elem_classes="dial-card"):
        with gr.Row():
            attn = _threshold("Top-p attention", config.attn_top_p, "Attention to keep")
            ffn = _threshold("Top-p FFN", config.ffn_top_p, "Importance to keep")
        text, importance = _own_dials(config, runs)
        budget = _budget(budget_value, calibration) if calibration else None
        with gr.Row():
            preset = gr.Dropdown(
                preset_choices(config.cube),
                value=_text(config.cube),
                label="Cube preset",
                filterable=False,  # nobody types in it: what it shows may be another language's
                elem_classes="cube-preset",
                interactive=runs,
                min_width=150,
                scale=2,
            )
            cube = [
                _whole(side, f"Cube {axis}", min_width=60, interactive=runs)
                for axis, side in zip("thw", config.cube, strict=True)
            ]
        with gr.Accordion("Sampling and length", open=False):
            own: dict[str, Any] = {"info": "0: the model's own", "interactive": runs}
            with gr.Row():
                fps = gr.Number(0, label="Frames per second", min_width=96, **own)
                frames = _whole(0, "Frames at most", **own)
                words = _whole(32, "Words at most", info="Of the answer", interactive=runs)
            with gr.Row():
                pixels = _whole(0, "Pixels a frame at most", **own)
                tokens = _whole(0, "Video tokens at most", **own)
        gr.HTML(templates.DIAL_ERROR, apply_default_css=False)
    return Dials(
        [attn, ffn], text, importance, budget, preset, cube, [fps, frames], words, [pixels, tokens]
    )


def _own_dials(config: AdaSparkConfig, runs: bool) -> tuple[Any, Any]:
    """Those that are ours, not the paper's."""
    with gr.Row():
        text = _threshold(
            "Top-p of the question",
            config.attn_top_p if config.text_top_p is None else config.text_top_p,
            "Attention that question and answer keep",
        )
        importance = gr.Dropdown(
            [(name, value) for value, name in IMPORTANCE_NAMES.items()],
            value=config.ffn_importance,
            label="FFN importance",
            info="By what a token's importance to the FFN is measured",
            filterable=False,
            elem_classes="ffn-importance",
            interactive=runs,
            min_width=200,
        )
    return text, importance


def wire_dials(dials: Dials) -> None:
    """Bind `.input`: it comes from mouse and keyboard, not when a program sets a value."""
    all_three = [*dials.thresholds, dials.text]
    moved = {"fn": None, "inputs": all_three, "js": returning("thresholdsMoved"), **PRIVATE}
    touched = {"fn": None, "js": returning("settingsTouched"), **PRIVATE}
    attn, ffn = dials.thresholds
    following = returning("textThresholdOf")
    attn.input(None, all_three, dials.text, js=following, **PRIVATE).then(**moved)
    ffn.input(**moved)
    dials.text.input(**{**moved, "js": returning("textMoved")})
    if dials.budget is not None:
        setting = returning("thresholdsOf")
        dials.budget.input(None, dials.budget, all_three, js=setting, **PRIVATE).then(**moved)
    given = [dials.preset, *dials.cube]
    dials.preset.input(None, given, dials.cube, js=returning("cubeOf"), **PRIVATE).then(**touched)
    for side in dials.cube:
        side.input(None, dials.cube, dials.preset, js=returning("presetOf"), **PRIVATE)
        side.input(**touched)
    for number in (*dials.sampling, *dials.size):
        number.input(None, js=returning("samplingTouched"), **PRIVATE)
    dials.importance.input(**touched)
    dials.words.input(**touched)


def preset_choices(own: tuple[int, int, int]) -> list[tuple[str, str]]:
    """The presets by their sides, the model's own marked or added, and one for any other."""
    named = {sides: name for name, sides in PRESETS.items()}
    own_name = named.get(own, " x ".join(map(str, own)))
    choices = {**named, own: f"{own_name} (own)"}
    return [*((name, _text(sides)) for sides, name in choices.items()), ("Custom", CUSTOM)]


def _text(sides: tuple[int, int, int]) -> str:
    return ",".join(map(str, sides))


def opening_point(
    config: AdaSparkConfig, calibration: Calibration, share: float | None
) -> dict[str, float]:
    """Where the dials open: the configuration's thresholds, and as `budget` the `share` of dense
    FLOPs that a recorded run with them was counted to cost, or else the nearest measured budget.
    """
    attn, ffn = one_number(config.attn_top_p), one_number(config.ffn_top_p)
    text = attn if config.text_top_p is None else one_number(config.text_top_p)
    points = calibration.points

    def distance(point: dict[str, float]) -> float:
        apart = (
            (point["attn_top_p"], attn),
            (point["ffn_top_p"], ffn),
            (point.get(TEXT, point["attn_top_p"]), text),
        )
        return sum(abs(measured - own) for measured, own in apart)

    budget = min(points, key=distance)["budget"]
    if share is not None and points[0]["budget"] <= share <= 1:
        budget = round(share, 2)
    return {"budget": budget, "attn_top_p": attn, "ffn_top_p": ffn, TEXT: text}


def _budget(value: float, calibration: Calibration) -> Any:
    """A dial over the measured budgets."""
    ends = calibration.points[0]["budget"], calibration.points[-1]["budget"]
    measured = "\u00a0x\u00a0".join(map(str, calibration.cube))
    info = f"Share of dense FLOPs; sets every Top-p, measured on {measured}\u00a0cubes"
    return _slider("Budget", value, info, ends, elem_classes="budget-dial")


def _threshold(label: str, top_p: TopP, info: str) -> Any:
    """One number for all layers; it starts at the mean of the model's own if those differ."""
    text = f"{info}; the model's own differ by layer" if isinstance(top_p, tuple) else info
    return _slider(label, one_number(top_p), text)


def _slider(
    label: str, value: float, info: str, ends: tuple[float, float] = (0, 1), **options: Any
) -> Any:
    return gr.Slider(*ends, value, step=0.01, label=label, info=info, min_width=200, **options)


def _whole(value: int, label: str, *, min_width: int = 96, **options: Any) -> Any:
    return gr.Number(value, label=label, precision=0, step=1, min_width=min_width, **options)
