"""What this server allows, from its environment: every switch, its unit and its default.

(Not pydantic-settings: it takes more spellings than these, such as `yes` and `5.0`, reads the
environment wherever limits are made, and its errors would have to be put into words anyway.)
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from adaspark.errors import UserError


@dataclass(frozen=True)
class ServerLimits:
    """Limits of one server; `SWITCHES` names the environment variables that set them.

    `video_pixels` are of one frame of an upload, `shown_pixels` of one as the model is shown it;
    `video_tokens` 0 means what the model's context holds. `visitor_runs` is how many runs a minute
    one visitor may start, `run_secs` how long one may take, `read_secs` and `read_memory_mb` how
    long the reading of an upload, and how much memory, `grace_secs` how long a run may still
    take once the server is told to stop. `kept_caches_mb` bounds what the model's cache holds of
    clips for follow-up questions. `disk_mb` bounds all that is on disk, uploads and what is made
    of them; `kept_hours` is how long a file stays that nobody asks for, `left_secs` how
    long what a visitor has here stays once the visitor has left. `cache_folder` None is a temporary
    one, removed at the end; `replay_only` serves recorded runs and loads no model. `runs_folder`
    holds recorded runs with their clips, shown as cards, `batches_folder` what `adaspark inspect`
    wrote, read by MCP clients; `remotes` are other studios, by their origins, that visitors may
    send a question to. What a request says of the way it came (`X-Forwarded-...`) is believed of
    the `proxies`, by their addresses, "*" for all. `log_json` writes the log as JSON lines; who may
    come in is listed in `login_file` (`app.web.login`), None: everybody; `wrong_logins` within
    `login_secs`, of a name or from an address, and the next one has to wait.
    """

    upload_mb: int = 500
    video_secs: int = 7200
    video_pixels: int = 4096 * 4096
    video_frames: int = 1_000_000
    shown_frames: int = 4096
    shown_pixels: int = 2**24
    video_tokens: int = 0
    question_chars: int = 2000
    new_tokens: int = 512
    waiting_runs: int = 16
    visitor_runs: int = 120
    run_secs: int = 900
    read_secs: int = 1800
    read_memory_mb: int = 3072
    grace_secs: int = 8
    kept_results_mb: int = 256
    kept_videos_mb: int = 2048
    kept_caches_mb: int = 2048
    kept_hours: int = 12
    left_secs: int = 600
    disk_mb: int = 8192
    cache_folder: Path | None = None
    replay_only: bool = False
    runs_folder: Path | None = None
    batches_folder: Path | None = None
    remotes: tuple[str, ...] = ()
    proxies: tuple[str, ...] = ("127.0.0.1", "::1")
    log_json: bool = False
    login_file: Path | None = None
    wrong_logins: int = 10
    login_secs: int = 900

    def facts(self) -> dict[str, int]:
        """The limits that a visitor meets, by the names of their switches in small letters."""
        hidden = {"cache_folder", "replay_only", "runs_folder", "batches_folder"}
        hidden |= {"remotes", "proxies", "log_json", "login_file"}
        shown = {name: field for name, field in SWITCHES.items() if field not in hidden}
        return {
            name.removeprefix("ADASPARK_").lower(): getattr(self, field)
            for name, field in shown.items()
        }


SWITCHES = {
    "ADASPARK_MAX_UPLOAD_MB": "upload_mb",
    "ADASPARK_MAX_VIDEO_SECONDS": "video_secs",
    "ADASPARK_MAX_VIDEO_PIXELS": "video_pixels",
    "ADASPARK_MAX_VIDEO_FRAMES": "video_frames",
    "ADASPARK_MAX_FRAMES": "shown_frames",
    "ADASPARK_MAX_PIXELS": "shown_pixels",
    "ADASPARK_MAX_VIDEO_TOKENS": "video_tokens",
    "ADASPARK_MAX_QUESTION_CHARACTERS": "question_chars",
    "ADASPARK_MAX_NEW_TOKENS": "new_tokens",
    "ADASPARK_MAX_WAITING": "waiting_runs",
    "ADASPARK_MAX_RUNS_A_MINUTE": "visitor_runs",
    "ADASPARK_MAX_RUN_SECONDS": "run_secs",
    "ADASPARK_MAX_READ_SECONDS": "read_secs",
    "ADASPARK_READ_MEMORY_MB": "read_memory_mb",
    "ADASPARK_GRACE_SECONDS": "grace_secs",
    "ADASPARK_RESULTS_MB": "kept_results_mb",
    "ADASPARK_VIDEOS_MB": "kept_videos_mb",
    "ADASPARK_CACHES_MB": "kept_caches_mb",
    "ADASPARK_KEPT_HOURS": "kept_hours",
    "ADASPARK_LEFT_SECONDS": "left_secs",
    "ADASPARK_DISK_MB": "disk_mb",
    "ADASPARK_CACHE_DIR": "cache_folder",
    "ADASPARK_REPLAY_ONLY": "replay_only",
    "ADASPARK_RUNS": "runs_folder",
    "ADASPARK_BATCHES": "batches_folder",
    "ADASPARK_REMOTES": "remotes",
    "ADASPARK_PROXIES": "proxies",
    "ADASPARK_LOG_JSON": "log_json",
    "ADASPARK_LOGIN": "login_file",
    "ADASPARK_WRONG_LOGINS": "wrong_logins",
    "ADASPARK_LOGIN_SECONDS": "login_secs",
}

_FOLDERS = {"ADASPARK_RUNS": "recorded runs", "ADASPARK_BATCHES": "batches of adaspark inspect"}


def limits_from(environment: Mapping[str, str] = os.environ) -> ServerLimits:
    """The limits that an environment sets. Raises UserError if a value cannot be used."""
    given = {name: environment[name].strip() for name in SWITCHES if environment.get(name)}
    values: dict[str, Any] = {SWITCHES[n]: _value(n, text) for n, text in given.items()}
    return ServerLimits(**values)


def _value(name: str, text: str) -> int | bool | Path | tuple[str, ...]:
    if name == "ADASPARK_CACHE_DIR":
        return Path(text)
    if name == "ADASPARK_LOGIN":
        if not Path(text).is_file():
            raise UserError(f"{name} must be a file of lines NAME:HASH, got {text!r}.")
        return Path(text)
    if name in _FOLDERS:
        if not Path(text).is_dir():
            raise UserError(f"{name} must be a folder of {_FOLDERS[name]}, got {text!r}.")
        return Path(text)
    if name == "ADASPARK_REMOTES":
        return tuple(_origin(name, each.strip()) for each in text.split(",") if each.strip())
    if name == "ADASPARK_PROXIES":
        return tuple(_network(name, each.strip()) for each in text.split(",") if each.strip())
    if name in ("ADASPARK_REPLAY_ONLY", "ADASPARK_LOG_JSON"):
        if text not in ("0", "1"):
            raise UserError(f"{name} must be 0 or 1, got {text!r}.")
        return text == "1"
    if not (text.isascii() and text.isdigit()) or (int(text) == 0 and "TOKENS" not in name):
        raise UserError(f"{name} must be a whole number above 0, got {text!r}.")
    return int(text)


def _network(name: str, text: str) -> str:
    """An address, a network such as 10.0.0.0/8, or "*"."""
    try:
        return text if text == "*" else str(ip_network(text))
    except ValueError as error:
        raise UserError(f"{name} must be addresses such as 10.0.0.0/8, got {text!r}.") from error


def _origin(name: str, text: str) -> str:
    """Scheme, host and port of another studio's address."""
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.path.strip("/"):
        raise UserError(f"{name} must be addresses such as https://studio.example, got {text!r}.")
    return f"{parts.scheme}://{parts.netloc}".lower()
