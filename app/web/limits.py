"""What this server allows, from its environment: every switch, its unit and its default.

(Not pydantic-settings: it takes more spellings than these, such as `yes` and `5.0`, reads the
environment wherever limits are made, and its errors would have to be put into words anyway.)
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adaspark.errors import UserError


@dataclass(frozen=True)
class ServerLimits:
    """Limits of one server; `SWITCHES` names the environment variables that set them.

    `video_tokens` 0 means what the model's context holds; `cache_folder` None is a temporary one,
    removed at the end; `replay_only` serves recorded runs and loads no model.
    """

    upload_mb: int = 500
    video_secs: int = 7200
    video_tokens: int = 0
    waiting_runs: int = 16
    kept_results_mb: int = 256
    kept_videos_mb: int = 2048
    cache_folder: Path | None = None
    replay_only: bool = False


SWITCHES = {
    "ADASPARK_MAX_UPLOAD_MB": "upload_mb",
    "ADASPARK_MAX_VIDEO_SECONDS": "video_secs",
    "ADASPARK_MAX_VIDEO_TOKENS": "video_tokens",
    "ADASPARK_MAX_WAITING": "waiting_runs",
    "ADASPARK_RESULTS_MB": "kept_results_mb",
    "ADASPARK_VIDEOS_MB": "kept_videos_mb",
    "ADASPARK_CACHE_DIR": "cache_folder",
    "ADASPARK_REPLAY_ONLY": "replay_only",
}


def limits_from(environment: Mapping[str, str] = os.environ) -> ServerLimits:
    """The limits that an environment sets. Raises UserError if a value cannot be used."""
    given = {name: environment[name].strip() for name in SWITCHES if environment.get(name)}
    values: dict[str, Any] = {SWITCHES[n]: _value(n, text) for n, text in given.items()}
    return ServerLimits(**values)


def _value(name: str, text: str) -> int | bool | Path:
    if name == "ADASPARK_CACHE_DIR":
        return Path(text)
    if name == "ADASPARK_REPLAY_ONLY":
        if text not in ("0", "1"):
            raise UserError(f"{name} must be 0 or 1, got {text!r}.")
        return text == "1"
    if not (text.isascii() and text.isdigit()) or (int(text) == 0 and "TOKENS" not in name):
        raise UserError(f"{name} must be a whole number above 0, got {text!r}.")
    return int(text)
