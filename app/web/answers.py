"""How an endpoint answers: with a value, or with one sentence."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import gradio as gr

from app.service.queue import sentence

Returned = TypeVar("Returned")
GONE = "No result has this key, or it is no longer on the server; ask again."


def returned(work: Callable[[], Returned]) -> Returned:
    """What `work` returns; what it raises as one sentence for the client."""
    try:
        return work()
    except Exception as error:
        raise gr.Error(sentence(error), print_exception=False) from error
