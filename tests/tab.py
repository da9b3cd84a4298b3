"""An open page as its server sees it: Gradio's events over HTTP, without a browser."""

from __future__ import annotations

import http.client
import json
import secrets
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
from gradio_client.utils import apply_diff

API = "gradio_api"


class Tab:
    """One page: its session, its events and its stream; closing it is what a closed tab does.

    `places` are the numbers of runs ahead that it was told of.
    """

    def __init__(self, url: str, *, browser: httpx.Client | None = None) -> None:
        self.url = url.rstrip("/") + "/"
        self.browser = browser or httpx.Client(timeout=300)
        self.browser.get(self.url).raise_for_status()
        config = self.get("config").json()
        events = config["dependencies"]
        own = {e["targets"][0][1]: e for e in events if e["backend_fn"] and _is_of_a_part(e)}
        self._events = {**{event["api_name"]: event for event in events}, **own}
        self._values = {each["id"]: each["props"].get("value") for each in config["components"]}
        self.session = secrets.token_hex(6)
        self.places: list[int] = []
        self._heart = self._beating()

    def get(self, path: str, **given: Any) -> httpx.Response:
        """What an address below the page's answers."""
        return self.browser.get(self.url + path, **given)

    def upload(self, path: Path, name: str, content: bytes | None = None) -> str:
        """Send a file; where the server has put it."""
        files = {"files": (name, path.read_bytes() if content is None else content)}
        answer = self.browser.post(f"{self.url}{API}/upload", files=files)
        answer.raise_for_status()
        (place,) = answer.json()
        return str(place)

    def begin(self, name: str, values: Sequence[Any] | None = None, /, **sent: Any) -> str:
        """Send an event with the controls' values (None: as they open); returns its id."""
        return str(self._post("queue/join", name, values, sent)["event_id"])

    def tell(self, name: str, **sent: Any) -> None:
        """Send an event that waits in no queue and shows nothing."""
        self._post("run/predict", name, None, sent)

    def _post(
        self, where: str, name: str, values: Sequence[Any] | None, sent: dict[str, Any]
    ) -> dict[str, Any]:
        event = self._events[name]
        body = {
            "data": self.values(name) if values is None else list(values),
            "event_data": sent,
            "fn_index": event["id"],
            "trigger_id": event["targets"][0][0],
            "session_hash": self.session,
        }
        answer = self.browser.post(f"{self.url}{API}/{where}", json=body)
        answer.raise_for_status()
        posted: dict[str, Any] = answer.json()
        return posted

    def values(self, name: str) -> list[Any]:
        """The values of an event's controls as they open."""
        return [self._values[each] for each in self._events[name]["inputs"]]

    def call(self, name: str, values: Sequence[Any] | None = None, /, **sent: Any) -> Any:
        """Send an event and wait for what it shows in the end."""
        states = [state for _, state in self.follow(self.begin(name, values, **sent))]
        return states[-1] if states else None

    def follow(self, *events: str) -> Iterator[tuple[str, Any]]:
        """Every state of the events, with the event's id, until all have ended."""
        shown: dict[str, Any] = dict.fromkeys(events)
        open_ones = set(events)
        for message in self._stream():
            event, kind = message.get("event_id"), message["msg"]
            if kind == "estimation" and message.get("rank") is not None:
                self.places.append(message["rank"])
            if event not in shown or kind not in ("process_generating", "process_completed"):
                continue
            data = message["output"].get("data")
            if message.get("success") is False:
                raise RuntimeError(str(message["output"]))
            if data:
                diff = kind == "process_generating" and shown[event] is not None
                value = apply_diff(shown[event], data[0]) if diff else data[0]
                if value != shown[event]:
                    shown[event] = value
                    yield event, value
            if kind == "process_completed":
                open_ones.discard(event)
            if not open_ones:
                return

    def close(self) -> None:
        """Close the tab: its heart stops, and nobody listens any more."""
        self._heart.close()
        self.browser.close()

    def _stream(self) -> Iterator[dict[str, Any]]:
        address = f"{self.url}{API}/queue/data?session_hash={self.session}"
        with self.browser.stream("GET", address) as answer:
            answer.raise_for_status()
            for line in answer.iter_lines():
                if line.startswith("data:"):
                    yield json.loads(line.removeprefix("data:"))

    def _beating(self) -> http.client.HTTPConnection:
        place = httpx.URL(f"{self.url}{API}/heartbeat/{self.session}")
        heart = http.client.HTTPConnection(place.host, place.port)
        cookies = "; ".join(f"{name}={value}" for name, value in self.browser.cookies.items())
        heart.request("GET", place.raw_path.decode(), headers={"Cookie": cookies})
        return heart

    def __enter__(self) -> Tab:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self.close()


def _is_of_a_part(event: dict[str, Any]) -> bool:
    """Whether it is an event of a part of the page, which has a name of its own for it."""
    return bool(event["targets"]) and event["targets"][0][0] is not None
