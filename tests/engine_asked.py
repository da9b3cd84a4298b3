"""A question about real footage, put to the engine with the bundled model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio

from adaspark.method.config import AdaSparkConfig
from adaspark.model.events import Result
from adaspark.model.request import Event, Options

CLIPS = Path(gradio.__file__).parent / "media_assets" / "videos"


CLIP = CLIPS / "b.mp4"


CONFIG = AdaSparkConfig((2, 2, 2), 0.6, 0.5)


QUESTION = "what color is the circle ?"


def options(config: AdaSparkConfig = CONFIG, **changes: Any) -> Options:
    return Options(config, **{"max_frames": 4, "max_new_tokens": 4, **changes})


def result_of(events: Iterator[Event] | list[Event]) -> Result:
    *_, last = events
    assert isinstance(last, Result)
    return last
