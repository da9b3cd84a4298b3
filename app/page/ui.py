"""What is on screen, and which event calls what. No model code, no torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from app.page import scripts, templates
from app.page.calibration import Calibration
from app.page.controls import Dials, build_dials, opening_point, preset_choices, wire_dials
from app.page.handlers import Handlers
from app.service.compare import BASELINE_NAMES
from app.service.deferred_engine import NO_MODEL
from app.service.messages import SampleCard
from app.service.permalinks import CLIP, QUESTION, SAMPLE, SETTINGS
from viz.data.series import FLOPS_WORDS

PRIVATE = {"api_visibility": "private", "show_progress": "hidden", "trigger_mode": "multiple"}
RAW = {**PRIVATE, "preprocess": False, "postprocess": False}
QUICK = {**RAW, "concurrency_limit": None}
RUN = {**RAW, "concurrency_limit": None}  # the service has a queue of its own


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
    config, calibration = service.engine.default_config, facts.calibration
    opening = (
        opening_point(config, calibration, service.openings.opening_share) if calibration else None
    )
    asks = service.engine.state != "replay"
    with gr.Blocks(title="AdaSpark Studio", fill_width=True, delete_cache=(600, 3600)) as page:
        add_endpoints()  # first, so that no event of the page takes their names
        header = _header(service.engine, facts, opening)
        picker = _picker(service.videos.sample_cards(), facts.limit_bytes)
        with gr.Row(elem_id="studio"):
            with gr.Column(scale=5, min_width=320, elem_id="ask-panel"):
                question, submits = _question(asks)
                _html(templates.OUTCOME, "mountOutcome", bundled=service.engine.is_bundled)
                budget = opening["budget"] if opening else 1
                dials = build_dials(config, calibration, budget, runs=asks)
            with gr.Column(scale=7, min_width=320, elem_id="view-panel"):
                viewer = _html(
                    templates.VIEWER,
                    "mountViewer",
                    events=("ask", "retune", "stop"),
                )
        figures = _figures(facts, sorted(handlers.remotes), service.limits.facts())
        _wire_picker(picker, handlers, dials)
        _wire_runs(viewer, handlers, question, dials)
        figures.compare(handlers.compare, None, figures, **RUN)
        figures.ablate(handlers.ablate, None, figures, **RUN)
        figures.remote(handlers.ask_remote, [question, *dials.controls], viewer, **RUN)
        wire_dials(dials)
        for submit in submits:
            submit(None, js=scripts.call("ask"), api_visibility="private")
        values = [question, *dials.controls]
        header.values(None, values, None, js=scripts.returning("controlsAt"), **PRIVATE)
        header.restore(None, None, values, js=scripts.returning("restoredValues"), **PRIVATE)
        page.load(handlers.model_loaded, None, header, **QUICK)
        _wire_greeting(page, handlers, picker, [question, *dials.controls], dials)
        page.unload(handlers.leave)
    return page


def _header(engine: Any, facts: Facts, opening: dict[str, float] | None) -> Any:
    return _html(
        templates.HEADER,
        "mountHeader",
        events=("values", "restore"),
        value=engine.facts(),
        link_base=facts.link_base,
        link_names=[QUESTION, *SETTINGS],
        sample_name=SAMPLE,
        clip_name=CLIP,
        calibration=list(facts.calibration.points) if facts.calibration else [],
        opening=opening,
        presets=[text for _, text in preset_choices(engine.default_config.cube)],
    )


def _figures(facts: Facts, remotes: Sequence[str], limits: dict[str, int]) -> Any:
    return _html(
        templates.FIGURES,
        "mountFigures",
        events=("compare", "ablate", "remote"),
        remotes=remotes,
        space_url=facts.link_base,
        plotly_url=facts.plotly_url,
        code_url=f"{facts.link_base}/tree/main" if facts.link_base else "",
        rivals=BASELINE_NAMES,
        limits=limits,
        words={"flops": FLOPS_WORDS},
    )


def _picker(samples: Sequence[SampleCard], limit_bytes: int) -> Any:
    return _html(
        templates.PICKER,
        "mountPicker",
        events=("sample", "upload", "again", "trace", "resume", "describe", "fit"),
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
    picker.trace(handlers.open_trace, None, picker, **QUICK)
    picker.resume(handlers.resume, dials.controls, picker, **QUICK)
    picker.describe(handlers.describe, dials.controls, picker, **QUICK)
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
    last = gr.Textbox(visible=False)
    given: dict[str, Any] = {"js": scripts.returning("remembered"), **QUICK}
    greeted = page.load(handlers.greet, [last, *values], [picker, *values], **given)
    preset_of = scripts.returning("presetOf")
    set_preset = greeted.then(None, dials.cube, dials.preset, js=preset_of, **PRIVATE)
    thresholds, shown = [*dials.thresholds, dials.text], scripts.returning("thresholdsShown")
    told = set_preset.then(None, thresholds, None, js=shown, **PRIVATE)
    told.then(None, js=scripts.call("greeted"), api_visibility="private")


def _html(template: str, mount: str, *, events: Sequence[str] = (), **options: Any) -> Any:
    """Our own part of the page: a constant template, filled in by our script.

    Gradio makes a listener of every event that the script names in quotes.
    """
    names = "".join(f"'{event}';" for event in events)
    script = f"{names} {scripts.mounting(mount)}"
    return gr.HTML(html_template=template, js_on_load=script, apply_default_css=False, **options)
