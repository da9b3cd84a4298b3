"""What is on screen, and which event calls what. No model code, no torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from app.page import scripts, templates
from app.page.calibration import Calibration
from app.page.controls import Dials, build_dials, preset_choices, wire_dials
from app.page.handlers import Handlers
from app.service.compare import BASELINE_NAMES
from app.service.deferred_engine import NO_MODEL
from app.service.messages import SampleCard
from app.service.permalinks import QUESTION, SAMPLE, SETTINGS
from viz.data.series import FLOPS_WORDS

PRIVATE = {"api_visibility": "private", "show_progress": "hidden", "trigger_mode": "multiple"}
RAW = {**PRIVATE, "preprocess": False, "postprocess": False}
QUICK = {**RAW, "concurrency_limit": None}
RUN = {**RAW, "concurrency_limit": 16, "concurrency_id": "run"}


@dataclass(frozen=True)
class Facts:
    """What the page must know of its server: the most bytes of an upload, where plotly is, what
    permalinks begin with (empty: the page's own address), and what the budget dial goes by.
    """

    limit_bytes: int
    plotly_url: str
    link_base: str
    calibration: Calibration | None


def build(handlers: Handlers, facts: Facts, add_endpoints: Callable[[], None]) -> Any:
    """The page as a gr.Blocks; `add_endpoints` adds what programs call."""
    service = handlers.service
    asks = service.engine.state != "replay"
    with gr.Blocks(title="AdaSpark Studio", fill_width=True, delete_cache=(600, 3600)) as page:
        add_endpoints()  # first, so that no event of the page takes their names
        header = _header(service.engine, facts)
        with gr.Row(elem_id="studio"):
            with gr.Column(scale=7, min_width=320):
                viewer = _html(
                    templates.VIEWER,
                    "mountViewer",
                    events=("ask", "retune", "stop"),
                )
            with gr.Column(scale=5, min_width=320, elem_id="ask-panel"):
                picker = _picker(service.videos.sample_cards(), facts.limit_bytes)
                question, submits = _question(asks)
                _html(templates.OUTCOME, "mountOutcome", bundled=service.engine.is_bundled)
                config = service.engine.default_config
                dials = build_dials(config, facts.calibration, runs=asks)
        figures = _figures(facts.plotly_url)
        _wire_picker(picker, handlers, dials)
        _wire_runs(viewer, handlers, question, dials)
        figures.compare(handlers.compare, None, figures, **RUN)
        figures.ablate(handlers.ablate, None, figures, **RUN)
        wire_dials(dials)
        for submit in submits:
            submit(None, js=scripts.call("ask"), api_visibility="private")
        values = [question, *dials.controls]
        header.link(None, values, None, js=scripts.returning("showLink"), **PRIVATE)
        page.load(handlers.model_loaded, None, header, **QUICK)
        _wire_greeting(page, handlers, picker, [question, *dials.controls], dials)
        page.unload(handlers.leave)
    return page


def _header(engine: Any, facts: Facts) -> Any:
    return _html(
        templates.HEADER,
        "mountHeader",
        events=("link",),
        value=engine.facts(),
        link_base=facts.link_base,
        link_names=[QUESTION, *SETTINGS],
        sample_name=SAMPLE,
        calibration=list(facts.calibration.points) if facts.calibration else [],
        presets=[text for _, text in preset_choices(engine.default_config.cube)],
    )


def _figures(plotly_url: str) -> Any:
    return _html(
        templates.FIGURES,
        "mountFigures",
        events=("compare", "ablate"),
        plotly_url=plotly_url,
        rivals=BASELINE_NAMES,
        words={"flops": FLOPS_WORDS},
    )


def _picker(samples: Sequence[SampleCard], limit_bytes: int) -> Any:
    return _html(
        templates.PICKER,
        "mountPicker",
        events=("sample", "upload", "again", "refused", "describe", "fit"),
        samples=samples,
        limit_bytes=limit_bytes,
    )


def _question(asks: bool) -> tuple[Any, list[Callable[..., Any]]]:
    """The textbox and what submits it; without a model both are off, and a note says why."""
    with gr.Column(elem_classes="dial-card"):
        with gr.Row(elem_id="ask-row"):
            box = gr.Textbox(
                label="Question",
                placeholder="What do you want to know?",
                elem_id="question",
                max_length=2000,
                min_width=200,
                interactive=asks,
            )
            ask = gr.Button(
                "Ask", variant="primary", elem_id="ask", min_width=80, scale=0, interactive=asks
            )
            stop = gr.Button("Stop", elem_id="stop", min_width=80, scale=0)
        chips = _html(templates.CHIPS, "mountChips", events=("chip",))
        if not asks:
            gr.HTML(f'<p class="ask-off" role="note">{NO_MODEL}</p>', apply_default_css=False)
    stop.click(None, js=scripts.call("stop"), api_visibility="private")
    chips.chip(None, None, box, js=scripts.returning("chosenQuestion"), **PRIVATE)
    return box, [ask.click, box.submit]


def _wire_picker(picker: Any, handlers: Handlers, dials: Dials) -> None:
    picker.sample(handlers.sample, dials.controls, picker, **QUICK)
    picker.upload(handlers.upload, dials.controls, picker, **QUICK)
    picker.again(handlers.again, dials.controls, picker, **QUICK)
    picker.describe(handlers.describe, dials.controls, picker, **QUICK)
    picker.refused(handlers.refused, None, picker, **QUICK)
    frames = dials.sampling[-1]
    fitted = picker.fit(None, None, frames, js=scripts.returning("fittingFrames"), **PRIVATE)
    fitted.then(None, js=scripts.call("samplingTouched"), api_visibility="private")


def _wire_runs(viewer: Any, handlers: Handlers, question: Any, dials: Dials) -> None:
    asked = viewer.ask(handlers.ask, [question, *dials.controls], viewer, **RUN)
    retuned = viewer.retune(handlers.retune, dials.controls, viewer, **RUN)
    for run in (asked, retuned):
        run.failure(None, js=scripts.call("lost"), api_visibility="private")
    viewer.stop(handlers.stop, None, None, queue=False, **QUICK)


def _wire_greeting(
    page: Any, handlers: Handlers, picker: Any, values: Sequence[Any], dials: Dials
) -> None:
    """What the page opens with; its address may be a permalink, which fills the controls in."""
    greeted = page.load(handlers.greet, values, [picker, *values], **QUICK)
    preset_of = scripts.returning("presetOf")
    set_preset = greeted.then(None, dials.cube, dials.preset, js=preset_of, **PRIVATE)
    set_preset.then(None, js=scripts.call("greeted"), api_visibility="private")


def _html(template: str, mount: str, *, events: Sequence[str] = (), **options: Any) -> Any:
    """Our own part of the page: a constant template, filled in by our script.

    Gradio makes a listener of every event that the script names in quotes.
    """
    names = "".join(f"'{event}';" for event in events)
    script = f"{names} {scripts.mounting(mount)}"
    return gr.HTML(html_template=template, js_on_load=script, apply_default_css=False, **options)
