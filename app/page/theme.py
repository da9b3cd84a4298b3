"""Gradio's look, from the same colours that the viewer and the figures use."""

from __future__ import annotations

from typing import Any

import gradio as gr

from viz.palette import DARK, LIGHT

SYSTEM_FONT = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif")
MONO_FONT = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace")

_COLOUR_FROM_VARIABLE = {
    "body_background_fill": "ground",
    "body_text_color": "text",
    "body_text_color_subdued": "muted",
    "background_fill_primary": "panel",
    "background_fill_secondary": "raised",
    "border_color_primary": "line",
    "block_background_fill": "panel",
    "block_border_color": "line",
    "block_label_background_fill": "panel",
    "block_label_text_color": "muted",
    "block_title_text_color": "text",
    "block_info_text_color": "muted",
    "panel_background_fill": "panel",
    "input_background_fill": "ground",
    "input_background_fill_focus": "panel",
    "input_border_color": "line",
    "input_border_color_focus": "accent",
    "input_placeholder_color": "muted",
    "slider_color": "accent",
    "button_primary_background_fill": "accent",
    "button_primary_background_fill_hover": "accent",
    "button_primary_text_color": "on_accent",
    "button_primary_text_color_hover": "on_accent",
    "button_secondary_background_fill": "raised",
    "button_secondary_background_fill_hover": "line",
    "button_secondary_text_color": "text",
    "button_secondary_text_color_hover": "text",
    "accordion_text_color": "text",
    "link_text_color": "accent",
}


def studio_theme() -> Any:
    """The theme, light and dark, with the system's own fonts: nothing is fetched."""
    theme = gr.themes.Base(font=SYSTEM_FONT, font_mono=MONO_FONT, radius_size="lg")
    colours = {name: LIGHT[colour] for name, colour in _COLOUR_FROM_VARIABLE.items()}
    colours |= {f"{name}_dark": DARK[colour] for name, colour in _COLOUR_FROM_VARIABLE.items()}
    return theme.set(
        **colours,
        block_shadow="none",
        block_border_width="1px",
        block_title_text_weight="600",
        button_large_text_weight="600",
        button_primary_shadow="none",
        input_border_width="1px",
        layout_gap="14px",
    )
