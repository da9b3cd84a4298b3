"""A question put to the service behind the page."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from app.service.messages import RunMessage
from app.service.service import Service
from app.service.settings import Settings

DIALS = Settings(0.9, 0.7, 2, 2, 2)


QUESTION = "What color is the circle?"


def ready(service: Service, session_id: str = "a") -> str:
    service.openings.choose_sample(session_id, "01_two_shapes", DIALS)
    return session_id


def scene_of(service: Service, message: RunMessage) -> Any:
    finished = service.results.get(message["key"])
    assert finished is not None
    return json.loads(finished.scene_json)


def last(messages: Iterator[RunMessage]) -> RunMessage:
    return list(messages)[-1]
