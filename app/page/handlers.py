"""What the page's events call: the controls' values in, messages for the page out.

A page is a Gradio session. What an event carries comes from outside: it is checked here or in the
service, and no path in it is followed unless it lies in the folder of uploads.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
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
from app.service.openings import Last
from app.service.permalinks import Permalink, read_permalink
from app.service.progress import Report, reported
from app.service.queue import sentence
from app.service.remote import ask_remote
from app.service.service import Service
from app.service.settings import Settings
from app.web.visitors import visitor_of

LOOK_AGAIN_SECS = 0.1
GRACE_SECS = 30.0
"""How long the runs of a page that went away go on."""
MAX_LAST_CHARS = 4096
Of = TypeVar("Of", RunMessage, BesideMessage)


class Handlers:
    """Event handlers over one service. `uploads_folder` is where Gradio puts what is uploaded,
    `remotes` are the origins of other studios that may be asked.
    """

    def __init__(
        self, service: Service, uploads_folder: Path, remotes: Collection[str] = ()
    ) -> None:
        self.service = service
        self.remotes = frozenset(remotes)
        self.uploads_folder = uploads_folder.resolve()

    def greet(self, request: gr.Request, last: Any, question: Any, *values: Any) -> list[Any]:
        """What the page showed before it was loaded anew (`last`, JSON), or the video of its
        address, or the first one; then its question, unless one was typed already, and the
        controls' values.
        """
        session_id, refusal = self._session_id(request), ""
        self.service.belongings.arrive(self.service.sessions.get(session_id).visitor)
        permalink = Permalink(None, None, values)
        try:
            query = dict(request.query_params)
            permalink = read_permalink(query, values, self.service.videos.samples)
        except UserError as error:
            refusal = sentence(error)
        try:
            card = self._opened(session_id, read_last(last), permalink)
        except Exception as error:
            return [NoCard(error=sentence(error)), question, *values]
        if refusal:
            card["error"], card["chosen"] = refusal, True
        shown = permalink.question or question or card.get("question", "")
        return [card, shown, *permalink.values]

    def _opened(self, session_id: str, last: Last, permalink: Permalink) -> Choice:
        if self.service.sessions.get(session_id).choices:
            return NoCard()  # the visitor was faster than the page's first request
        if last != Last():
            with suppress(UserError):
                return self.service.openings.resume(session_id, last, permalink.settings)
        return self.service.openings.greet(session_id, permalink)

    def resume(self, event: gr.EventData, request: gr.Request, *values: Any) -> PickMessage:
        """Go back to a run of this visit."""
        resume, last = self.service.openings.resume, Last(key=str(_data(event).get("key")))
        return _card(event, lambda: resume(self._session_id(request), last, Settings(*values)))

    async def model_loaded(self) -> EngineFacts:
        """Wait until the model is loaded, or has failed to load; then what is known of it."""
        while self.service.engine.state in ("waiting", "loading"):
            await asyncio.sleep(LOOK_AGAIN_SECS)
        return self.service.engine_facts()

    def sample(self, event: gr.EventData, request: gr.Request, *values: Any) -> PickMessage:
        """Choose a sample clip."""
        name = str(_data(event).get("name"))
        choose = self.service.openings.choose_sample
        return _card(event, lambda: choose(self._session_id(request), name, Settings(*values)))

    def upload(
        self, event: gr.EventData, request: gr.Request, *values: Any
    ) -> Iterator[PickMessage]:
        """Choose the file that was just uploaded; yields how far its preparation is."""
        data, settings = _data(event), Settings(*values)
        session_id, name = self._session_id(request), str(data.get("name"))

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
        return _card(event, lambda: choose(self._session_id(request), Settings(*values)))

    def open_trace(self, event: gr.EventData, request: gr.Request) -> PickMessage:
        """Open a recorded run that was just uploaded."""
        data = _data(event)
        try:
            path, name = self._uploaded(data.get("path")), str(data.get("name"))
            opened = self.service.openings.open_trace(self._session_id(request), path, name)
        except Exception as error:
            return {"error": sentence(error), "pick": data.get("pick")}
        return {"opened": opened, "pick": data.get("pick")}

    def ask_remote(
        self, event: gr.EventData, request: gr.Request, question: Any, *values: Any
    ) -> Iterator[RunMessage]:
        """Stream the states of a run on another studio."""
        address, settings = _data(event).get("address"), Settings(*values)
        given = (self._session_id(request), address, question, settings, self.remotes)
        yield from _numbered(event, ask_remote(self.service, *given))

    def describe(self, event: gr.EventData, request: gr.Request, *values: Any) -> PickMessage:
        """Describe the chosen video again, under other sampling settings."""
        describe = self.service.videos.describe
        card = _card(event, lambda: describe(self._session_id(request), Settings(*values)))
        return {**card, "chosen": True, "field": "dials"}

    def ask(
        self, event: gr.EventData, request: gr.Request, question: Any, *values: Any
    ) -> Iterator[RunMessage]:
        """Stream the states of a new run."""
        states = self.service.ask(
            self._session_id(request), question, Settings(*values), _number(event)
        )
        yield from _numbered(event, self.service.live_runs.start(_ticket(event), states))

    def retune(
        self, event: gr.EventData, request: gr.Request, *values: Any
    ) -> Iterator[RunMessage]:
        """Stream the states of the last question's run under other settings."""
        states = self.service.retune(self._session_id(request), Settings(*values), _number(event))
        yield from _numbered(event, self.service.live_runs.start(_ticket(event), states))

    def compare(self, event: gr.EventData, request: gr.Request) -> Iterator[BesideMessage]:
        """Stream the states of the run to compare with; a pinned one has ended already."""
        data, session_id = _data(event), self._session_id(request)
        key, pinned = data.get("key"), data.get("pinned")
        if pinned is not None:
            states = iter([compare_pinned(self.service, key, pinned)])
        else:
            states = compare(self.service, session_id, key, data.get("rival"))
        yield from _numbered(event, _of_panel("compare", states))

    def ablate(self, event: gr.EventData, request: gr.Request) -> Iterator[BesideMessage]:
        """Stream the states of a run in which cubes are forced on or off."""
        data, session_id = _data(event), self._session_id(request)
        chosen = (data.get(name) for name in ("key", "cubes", "on"))
        states = ablate(self.service, session_id, *chosen)
        yield from _numbered(event, _of_panel("ablate", states))

    def stop(self, event: gr.EventData, request: gr.Request) -> None:
        """Stop the session's runs, but one that the page has begun since."""
        self.service.stop(self._session_id(request), _number(event) or None)

    def leave(self, request: gr.Request) -> None:
        """Forget the session of a page that is closed, unless it is soon back."""
        session_id = self._session_id(request)
        self.service.belongings.leave(self.service.sessions.get(session_id).visitor)
        self.service.leave(session_id, grace_secs=GRACE_SECS)

    def _session_id(self, request: gr.Request) -> str:
        """The page that an event comes from; whose page it is, its session remembers."""
        session_id = str(request.session_hash)
        visitor = visitor_of(request.cookies, session_id)
        self.service.sessions.get(session_id).visitor = visitor
        return session_id

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


def _number(event: gr.EventData) -> int:
    """The page's own number of a run; 0 where it gives none."""
    number = _data(event).get("run")
    return number if isinstance(number, int) else 0


def _of_panel(name: str, messages: Iterable[BesideMessage]) -> Iterator[BesideMessage]:
    """The messages, marked with the panel that they are for."""
    for message in messages:
        message["panel"] = name
        yield message


def _data(event: gr.EventData) -> dict[str, Any]:
    data = getattr(event, "_data", None)
    return data if isinstance(data, dict) else {}


def read_last(text: Any) -> Last:
    """What a page remembers of itself, as JSON; nothing where that is not what it should be."""
    if not isinstance(text, str) or len(text) > MAX_LAST_CHARS:
        return Last()
    with suppress(ValueError, AttributeError):
        given = json.loads(text)
        return Last(*(str(given.get(name) or "") for name in ("key", "url", "name")))
    return Last()


def _ticket(event: gr.EventData) -> str:
    """By which a page that was cut off finds its run again; empty if it is too short to be one."""
    ticket = str(_data(event).get("ticket") or "")
    return ticket if 16 <= len(ticket) <= 64 else ""
