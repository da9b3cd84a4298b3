"""Where Gradio would do what this server must not: fetch, let runs go on, or print a request."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, NoReturn

import gradio as gr
from gradio import processing_utils, route_utils

from adaspark.errors import UserError
from app.service.service import Service
from app.web.disk import ARRIVING

log = logging.getLogger(__name__)
UNREADABLE = (
    "This request could not be read: send every value, and each of its kind, as the API's page "
    "describes."
)


def forbid_fetching() -> None:
    """Refuse addresses that are sent instead of files: Gradio would fetch them."""

    async def refuse(url: str, *_: Any) -> NoReturn:
        raise UserError("Addresses are not fetched: upload the video itself.")

    processing_utils.async_ssrf_protected_download = refuse


def note_uploads() -> None:
    """Tell `ARRIVING` of each file that Gradio begins to write for an upload: it forgets those of
    an upload that breaks off.
    """

    def noted(*given: Any, **named: Any) -> Any:
        file = NamedTemporaryFile(*given, **named)  # noqa: SIM115
        if (arriving := ARRIVING.get()) is not None:
            arriving.append(Path(file.name))
        return file

    route_utils.NamedTemporaryFile = noted


def is_logged_in(page: Any, cookies: Mapping[str, str]) -> bool:
    """Whether cookies are those of somebody who has logged in, where that is asked for."""
    app = page.app
    names = (f"access-token-{app.cookie_id}", f"access-token-unsecure-{app.cookie_id}")
    return app.auth is None or any(cookies.get(name) in app.tokens for name in names)


def is_known_event(page: Any, event: str) -> bool:
    """Whether an event is under way, or ended with its answer still to be heard: Gradio's own
    search for whose it is.
    """
    queue = page._queue
    held = queue.event_ids_to_events.get(event)
    ended = (whose for whose, ids in queue.pending_event_ids_session.items() if event in ids)
    session = held.session_hash if held is not None else next(ended, event)
    return session in queue.pending_messages_per_session


def leave_with_the_client(page: Any, service: Service) -> None:
    """Stop a program's runs when it goes away: Gradio only takes what waits off its queue."""
    clean = page._queue.clean_events

    async def clean_events(*, session_hash: str | None = None, event_id: str | None = None) -> None:
        await clean(session_hash=session_hash, event_id=event_id)
        if gone := session_hash or event_id:
            service.leave(gone)

    page._queue.clean_events = clean_events


def say_errors(page: Any) -> None:
    """Answer a request that Gradio cannot read, or fails on, with a sentence.

    It prints such an error with what was sent, a visitor's question too, and answers nothing.
    """
    process = page.process_api

    async def process_api(*given: Any, **named: Any) -> Any:
        try:
            return await process(*given, **named)
        except gr.Error:
            raise
        except Exception as error:
            log.error("A request could not be read: %s", type(error).__name__)
            raise gr.Error(UNREADABLE, print_exception=False) from None

    page.process_api = process_api
