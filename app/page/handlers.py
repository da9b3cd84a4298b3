"""What the page's events call: the controls' values in, messages for the page out.

A page is a Gradio session. What an event carries comes from outside: it is checked here or in the
service, and no path in it is followed unless it lies in the folder of uploads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import gradio as gr

from adaspark.errors import UserError
from app.service.ablate import ablate
from app.service.compare import compare, compare_pinned
from app.service.messages import (
    BesideMessage,
    Card,
    Choice,
    EngineFacts,
    NoCard,
    PickMessage,
    RunMessage,
)
from app.service.permalinks import Permalink, read_permalink
from app.service.progress import Report, reported
from app.service.queue import sentence
from app.service.service import Service
from app.service.settings import Settings

LOOK_AGAIN_SECS = 0.1
Of = TypeVar("Of", RunMessage, BesideMessage)


class Handlers:
    """Event handlers over one service. `uploads_folder` is where Gradio puts what is uploaded."""

    def __init__(self, service: Service, uploads_folder: Path) -> None:
        self.service = service
        self.uploads_folder = uploads_folder.resolve()

    def greet(self, request: gr.Request, question: Any, *values: Any) -> list[Any]:
        """The video of the page's address, or the first one; then its question, unless one was
        typed already, and the controls' values.
        """
        refusal = ""
        permalink = Permalink(None, None, values)
        try:
            query = dict(request.query_params)
            permalink = read_permalink(query, values, self.service.videos.samples)
        except UserError as error:
            refusal = sentence(error)
        try:
            card = self.service.greet(_session_id(request), permalink)
        except Exception as error:
            return [NoCard(error=sentence(error)), question, *values]
        if refusal:
            card["error"], card["chosen"] = refusal, True
        shown = permalink.question or question or card.get("question", "")
        return [card, shown, *permalink.values]

    async def model_loaded(self) -> EngineFacts:
        """Wait until the model is loaded, or has failed to load; then what is known of it."""
        while self.service.engine.state in ("waiting", "loading"):
            await asyncio.sleep(LOOK_AGAIN_SECS)
        return self.service.engine.facts()

    def sample(self, event: gr.EventData, request: gr.Request, *values: Any) -> PickMessage:
        """Choose a sample clip."""
        name = str(_data(event).get("name"))
        choose = self.service.choose_sample
        return _card(event, lambda: choose(_session_id(request), name, Settings(*values)))

    def upload(
        self, event: gr.EventData, request: gr.Request, *values: Any
    ) -> Iterator[PickMessage]:
        """Choose the file that was just uploaded; yields how far its preparation is."""
        data, settings = _data(event), Settings(*values)
        session_id, name = _session_id(request), str(data.get("name"))

        def choose(report: Report) -> Card:
            path = self._uploaded(data.get("path"))
            return self.service.videos.choose_upload(
                session_id, path, name, settings, report=report
            )

        pick = data.get("pick")
        try:
            for each in reported(choose):
                if isinstance(each, float):
                    preview = self.service.videos.preview(session_id)
                    yield {"progress": each, "preview": preview, "pick": pick}
                else:
                    each["pick"] = pick
                    yield each
        except Exception as error:
            yield {"error": sentence(error), "pick": pick}

    def again(self, event: gr.EventData, request: gr.Request, *values: Any) -> PickMessage:
        """Choose the visitor's last upload again."""
        choose = self.service.videos.choose_own
        return _card(event, lambda: choose(_session_id(request), Settings(*values)))

    def refused(self, event: gr.EventData, request: gr.Request) -> PickMessage:
        """Note that the browser refused the chosen file, or could not send it."""
        why = str(_data(event).get("error"))
        self.service.videos.refuse(_session_id(request), why)
        return {"error": why, "pick": _data(event).get("pick")}

    def describe(self, event: gr.EventData, request: gr.Request, *values: Any) -> PickMessage:
        """Describe the chosen video again, under other sampling settings."""
        describe = self.service.videos.describe
        card = _card(event, lambda: describe(_session_id(request), Settings(*values)))
        card["chosen"] = True
        return card

    def ask(
        self, event: gr.EventData, request: gr.Request, question: Any, *values: Any
    ) -> Iterator[RunMessage]:
        """Stream the states of a new run."""
        settings = Settings(*values)
        yield from _numbered(event, self.service.ask(_session_id(request), question, settings))

    def retune(
        self, event: gr.EventData, request: gr.Request, *values: Any
    ) -> Iterator[RunMessage]:
        """Stream the states of the last question's run under other settings."""
        settings = Settings(*values)
        yield from _numbered(event, self.service.retune(_session_id(request), settings))

    def compare(self, event: gr.EventData, request: gr.Request) -> Iterator[BesideMessage]:
        """Stream the states of the run to compare with; a pinned one has ended already."""
        data, session_id = _data(event), _session_id(request)
        key, pinned = data.get("key"), data.get("pinned")
        if pinned is not None:
            states = iter([compare_pinned(self.service, key, pinned)])
        else:
            states = compare(self.service, session_id, key, data.get("rival"))
        yield from _numbered(event, _of_panel("compare", states))

    def ablate(self, event: gr.EventData, request: gr.Request) -> Iterator[BesideMessage]:
        """Stream the states of a run in which a cube is forced on or off."""
        data, session_id = _data(event), _session_id(request)
        chosen = (data.get(name) for name in ("key", "cube", "on"))
        states = ablate(self.service, session_id, *chosen)
        yield from _numbered(event, _of_panel("ablate", states))

    def stop(self, request: gr.Request) -> None:
        """Stop the session's runs."""
        self.service.stop(_session_id(request))

    def leave(self, request: gr.Request) -> None:
        """Forget the session of a page that is closed."""
        self.service.leave(_session_id(request))

    def _uploaded(self, path: Any) -> Path:
        found = Path(str(path)).resolve()
        if not found.is_relative_to(self.uploads_folder):
            raise UserError("The video did not arrive; upload it again.")
        return found


def _card(event: gr.EventData, choose: Callable[[], Card | None]) -> Choice:
    """A video's card or the sentence that refuses it, with the number of the page's choice."""
    pick = _data(event).get("pick")
    try:
        card = choose() or NoCard()
        card["pick"] = pick
        return card
    except Exception as error:
        return {"error": sentence(error), "pick": pick}


def _numbered(event: gr.EventData, messages: Iterable[Of]) -> Iterator[Of]:
    """The messages with the page's own number of the run, by which it drops late ones."""
    number = _data(event).get("run")
    for message in messages:
        message["run"] = number
        yield message


def _of_panel(name: str, messages: Iterable[BesideMessage]) -> Iterator[BesideMessage]:
    """The messages, marked with the panel that they are for."""
    for message in messages:
        message["panel"] = name
        yield message


def _data(event: gr.EventData) -> dict[str, Any]:
    data = getattr(event, "_data", None)
    return data if isinstance(data, dict) else {}


def _session_id(request: gr.Request) -> str:
    return str(request.session_hash)
