"""What is on screen, and which event calls what. No model code, no torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr

from app import front
from app.handlers import Handlers

PRIVATE = {"api_visibility": "private", "show_progress": "hidden", "trigger_mode": "multiple"}
RAW = {**PRIVATE, "preprocess": False, "postprocess": False}
QUICK = {**RAW, "concurrency_limit": None}
RUN = {**RAW, "concurrency_limit": 16, "concurrency_id": "run"}


def build(handlers: Handlers, *, limit_bytes: int, plotly_url: str) -> Any:
    """The page as a gr.Blocks. `limit_bytes` is the most an upload may have."""
    facts = handlers.service.model_facts()
    with gr.Blocks(title="AdaSpark Studio", fill_width=True, delete_cache=(600, 3600)) as page:
        _html(front.HEADER, "mountHeader(element, props)", **facts)
        with gr.Row(elem_id="studio"):
            with gr.Column(scale=7, min_width=320):
                viewer = _viewer(handlers)
            with gr.Column(scale=5, min_width=320, elem_id="ask-panel"):
                picker = _picker(facts["samples"], limit_bytes)
                question, submits = _question()
                _html(front.OUTCOME, None)
                dials, sampling, words = _controls(handlers.service.engine.default_config)
        _html(front.FIGURES, "mountFigures(element, {props})", plotly_url=plotly_url)
        controls = [*dials, *sampling, words]
        _wire_dials(dials, sampling, submits)
        _wire_picker(picker, handlers, controls)
        _wire_runs(viewer, handlers, [question, *controls])
        page.load(handlers.greet, controls, picker, **QUICK)
        page.load(handlers.first_result, None, viewer, **QUICK)
        page.unload(handlers.leave)
    return page


def _viewer(handlers: Handlers) -> Any:
    # Gradio marks server functions by an attribute, which a method cannot take.
    def scene(data: Any) -> str | None:
        return handlers.scene(data)

    def figure(data: Any) -> str | None:
        return handlers.figure(data)

    return _html(
        front.VIEWER,
        "mountViewer(element, {props, trigger, server, watch})",
        events=("ask", "retune", "stop"),
        server_functions=[scene, figure],
    )


def _picker(samples: Sequence[dict[str, Any]], limit_bytes: int) -> Any:
    return _html(
        front.PICKER,
        "mountPicker(element, {props, trigger, watch})",
        events=("sample", "upload", "again", "refused", "describe"),
        samples=samples,
        limit_bytes=limit_bytes,
    )


def _question() -> tuple[Any, list[Callable[..., Any]]]:
    """The textbox, its suggestions, and the listeners that ask."""
    with gr.Column(elem_classes="dial-card"):
        box = gr.Textbox(
            label="Question",
            placeholder="What do you want to know?",
            elem_id="question",
            max_length=2000,
        )
        chips = _html(front.CHIPS, "mountChips(element, {trigger})", events=("chip",))
        with gr.Row(elem_id="ask-row"):
            ask = gr.Button("Ask", variant="primary", elem_id="ask", min_width=96, scale=2)
            stop = gr.Button("Stop", elem_id="stop", min_width=96, scale=1)
    stop.click(None, js=_call("stop"), api_visibility="private")
    chips.chip(None, None, box, js="() => window.AdaSparkStudio.chosenQuestion()", **PRIVATE)
    return box, [ask.click, box.submit]


def _controls(config: Any) -> tuple[list[Any], list[Any], Any]:
    """The dials of the method, those of sampling, and the length of the answer."""
    with gr.Column(elem_classes="dial-card"):
        attn = _slider("Top-p attention", config.attn_top_p, "Attention mass the cubes must reach")
        ffn = _slider("Top-p FFN", config.ffn_top_p, "Token importance that passes the FFN")
        with gr.Row():
            sides = [
                gr.Number(side, label=f"Cube {axis}", precision=0, min_width=72, step=1)
                for axis, side in zip("thw", config.cube, strict=True)
            ]
        with gr.Accordion("Sampling and length", open=False), gr.Row():
            own = "0: the model's own"
            fps = gr.Number(0, label="Frames per second", info=own, min_width=96)
            frames = gr.Number(0, label="Frames at most", info=own, precision=0, min_width=96)
            words = gr.Number(
                32, label="Words at most", info="Of the answer", precision=0, min_width=96
            )
    return [attn, ffn, *sides], [fps, frames], words


def _wire_dials(
    dials: Sequence[Any], sampling: Sequence[Any], submits: Sequence[Callable[..., Any]]
) -> None:
    """Scripts act at once (stale, debounce); they then trigger the viewer's own events."""
    for dial in dials:
        dial.input(None, js=_call("settingsTouched"), api_visibility="private")
    for dial in sampling:
        dial.input(None, js=_call("samplingTouched"), api_visibility="private")
    for submit in submits:
        submit(None, js=_call("ask"), api_visibility="private")


def _wire_picker(picker: Any, handlers: Handlers, controls: Sequence[Any]) -> None:
    picker.sample(handlers.sample, controls, picker, **QUICK)
    picker.upload(handlers.upload, controls, picker, **QUICK)
    picker.again(handlers.again, controls, picker, **QUICK)
    picker.describe(handlers.describe, controls, picker, **QUICK)
    picker.refused(handlers.refused, None, picker, **QUICK)


def _wire_runs(viewer: Any, handlers: Handlers, inputs: Sequence[Any]) -> None:
    asked = viewer.ask(handlers.ask, inputs, viewer, **RUN)
    retuned = viewer.retune(handlers.retune, inputs[1:], viewer, **RUN)
    for run in (asked, retuned):
        run.failure(None, js=_call("lost"), api_visibility="private")
    viewer.stop(handlers.stop, None, None, queue=False, **QUICK)


def _html(template: str, mount: str | None, *, events: Sequence[str] = (), **options: Any) -> Any:
    """Our own part of the page: a constant template, filled in by our script.

    Gradio makes a listener of every event that the script names in quotes.
    """
    names = "".join(f"'{event}';" for event in events)
    script = f"{names} window.AdaSparkStudio.{mount};" if mount else None
    return gr.HTML(html_template=template, js_on_load=script, apply_default_css=False, **options)


def _slider(label: str, value: float, info: str) -> Any:
    return gr.Slider(0, 1, value, step=0.01, label=label, info=info)


def _call(name: str) -> str:
    return f"() => {{ window.AdaSparkStudio.{name}(); }}"
