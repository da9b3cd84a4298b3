"""Asking another Studio that holds a real model: only those that the operator allows."""

from __future__ import annotations

import tempfile
from collections.abc import Container, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from adaspark.errors import UserError
from adaspark.method.config import AdaSparkConfig
from app.media.opened_traces import open_trace
from app.media.recorded_runs import result_of
from app.service.messages import RunMessage
from app.service.queue import sentence
from app.service.service import Service
from app.service.settings import Settings, checked_question

PATIENCE_SECS = 600.0


def origin(address: object) -> str:
    """Scheme, host and port of an address. Raises UserError if it is none."""
    parts = urlsplit(str(address).strip())
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
        raise UserError("The other studio's address must begin with https:// and a host's name.")
    return f"{parts.scheme}://{parts.netloc}".lower()


def ask_remote(
    service: Service,
    session_id: str,
    address: object,
    question: object,
    settings: Settings,
    allowed: Container[str],
) -> Iterator[RunMessage]:
    """Send the chosen video to another studio's `/ask`; its trace is checked and opened as a run.

    `allowed` are origins. Never raises: an error is the last message.
    """
    try:
        where = origin(address)
        if where not in allowed:
            raise UserError(
                f"This server's operator has not allowed {where}; ask for it in ADASPARK_REMOTES."
            )
        options = settings.options(service.limits)
        asked = checked_question(question, service.limits)
        video = service.videos.chosen(service.sessions.get(session_id))
        yield {"state": "running", "answer": "", "phase": None}
        with tempfile.TemporaryDirectory(prefix="adaspark-") as folder:
            answer, path = _asked(where, video.path, asked, options.config, folder)
            trace = open_trace(path, f"The trace from {where}")
        run = result_of(trace, answer)
        yield service.add_foreign(session_id, video, run, options).message()
    except Exception as error:
        yield {"state": "error", "error": sentence(error)}


def _asked(
    where: str, video: Path, question: str, config: AdaSparkConfig, folder: str
) -> tuple[str, Path]:
    """The answer, and the file of the trace. Raises UserError if the other studio gives none."""
    from gradio_client import Client, handle_file

    try:
        client = Client(
            where,
            download_files=folder,
            verbose=False,
            analytics_enabled=False,
            httpx_kwargs={"timeout": PATIENCE_SECS},
        )
        answer, _, trace = client.predict(
            handle_file(str(video)),
            question,
            config.attn_top_p,
            config.ffn_top_p,
            list(config.cube),
            api_name="/ask",
            **_own(config),
        )
    except Exception as error:
        raise UserError(f"{where} did not answer as a studio does: {error}") from error
    return str(answer), Path(str(trace))


def _own(config: AdaSparkConfig) -> dict[str, Any]:
    """Of the dials that are ours what differs from the paper, by its name at `/ask`: a studio that
    has no such dial still answers what needs none.
    """
    told = config.to_dict()
    return {name: told[name] for name in ("text_top_p", "ffn_importance") if name in told}
