"""The values of the page's controls, as they come, into the engine's options."""

from __future__ import annotations

import re
import reprlib
from dataclasses import dataclass
from typing import Any

from adaspark.errors import UserError
from adaspark.method.config import AdaSparkConfig
from adaspark.model.request import Options
from app.web.limits import ServerLimits

MAX_TOKENS = 2**20
_MAX_NUMBER = 2**53
_CUBE = re.compile("0|[1-9][0-9]{0,6}")  # written one way: else a cube could be named twice
_OWN = ServerLimits()


@dataclass(frozen=True)
class Settings:
    """What the controls hold; nothing in it is checked yet, a control may even be empty.

    A 0 (an empty number of Gradio is 0 too) is the model's own `fps`, `max_frames`, `max_pixels`
    or `max_video_tokens`. A `text_top_p` that is empty or equal to `attn_top_p` is that one p.
    """

    attn_top_p: Any
    ffn_top_p: Any
    cube_t: Any
    cube_h: Any
    cube_w: Any
    fps: Any = None
    max_frames: Any = None
    max_new_tokens: Any = 32
    max_pixels: Any = None
    max_video_tokens: Any = None
    text_top_p: Any = None
    ffn_importance: Any = "residual"

    def options(self, limits: ServerLimits = _OWN) -> Options:
        """The engine's options. Raises UserError with the sentence to show."""
        config = AdaSparkConfig(
            cube=(_side("t", self.cube_t), _side("h", self.cube_h), _side("w", self.cube_w)),
            attn_top_p=_share("Top-p attention", self.attn_top_p),
            ffn_top_p=_share("Top-p FFN", self.ffn_top_p),
            text_top_p=self._text_top_p(),
            ffn_importance=self.ffn_importance,
        )
        max_new_tokens = _count("Words at most", self.max_new_tokens, maximum=limits.new_tokens)
        if max_new_tokens is None:
            raise UserError("Words at most is empty or 0; type a whole number such as 32.")
        return Options(config, max_new_tokens=max_new_tokens, **self.sampling(limits))

    def _text_top_p(self) -> float | None:
        if self.text_top_p in (None, "", self.attn_top_p):
            return None
        return _share("Top-p of the question", self.text_top_p)

    def sampling(self, limits: ServerLimits = _OWN) -> dict[str, Any]:
        """The options that make the video's tokens, None if the model's own value applies."""
        return {
            "fps": _rate(self.fps),
            "max_frames": _count("Frames at most", self.max_frames, maximum=limits.shown_frames),
            "max_pixels": _count(
                "Pixels a frame at most", self.max_pixels, maximum=limits.shown_pixels
            ),
            "max_video_tokens": _count(
                "Video tokens at most", self.max_video_tokens, maximum=MAX_TOKENS
            ),
        }


def checked_question(question: Any, limits: ServerLimits = _OWN) -> str:
    """The question without the spaces around it. Raises UserError for a blank or too long one."""
    text = question.strip() if isinstance(question, str) else ""
    if not text:
        raise UserError("The question is blank; type one, or pick one of the suggestions.")
    if len(text) > limits.question_chars:
        raise UserError(
            f"The question has {len(text):,} characters and this server takes at most "
            f"{limits.question_chars:,}; ask a shorter one."
        )
    return text


def checked_forced(value: Any) -> dict[int, bool]:
    """Cubes to force on or off, as JSON has them. Raises UserError; which cubes the video has is
    not known here.
    """
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise UserError(
            'forced must be an object of cubes, each true (on) or false (off), such as {"3": '
            f"false}}, got {_shown(value)}."
        )
    for cube, is_on in value.items():
        if not _CUBE.fullmatch(str(cube)):
            raise UserError(
                "forced must name each cube by its whole number, counted from 0, got "
                f"{_shown(cube)}."
            )
        if not isinstance(is_on, bool):
            raise UserError(
                f"forced must say true (on) or false (off) of cube {cube}, got {_shown(is_on)}."
            )
    return {int(cube): is_on for cube, is_on in value.items()}


def _share(name: str, value: Any) -> float:
    if not _is_number(value) or not 0 <= value <= 1:
        raise UserError(f"{name} must be a number from 0 to 1, got {_shown(value)}.")
    return float(value)


def _side(axis: str, value: Any) -> Any:
    """4.0 as 4; anything else is returned as it is, and AdaSparkConfig refuses it."""
    if value is None or value == "":
        raise UserError(f"Cube {axis} is empty; type a whole number of at least 1.")
    return int(value) if _is_number(value) and value == int(value) else value


def _rate(value: Any) -> float | None:
    if _is_empty(value):
        return None
    if not _is_number(value) or not 0 < value <= 120:
        raise UserError(
            f"Frames per second must be a number from 0, the model's own rate, to 120, "
            f"got {_shown(value)}."
        )
    return float(value)


def _count(name: str, value: Any, *, maximum: int) -> int | None:
    if _is_empty(value):
        return None
    if not _is_number(value) or value != int(value) or not 1 <= value <= maximum:
        raise UserError(f"{name} must be a whole number from 1 to {maximum}, got {_shown(value)}.")
    return int(value)


def _is_empty(value: Any) -> bool:
    return value is None or value == "" or (_is_number(value) and value == 0)


def _is_number(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and abs(value) <= _MAX_NUMBER  # NaN is not


def _shown(value: Any) -> str:
    return "nothing" if value is None or value == "" else reprlib.repr(value)
