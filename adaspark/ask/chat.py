"""`adaspark chat`: questions about one video, line by line; each follows what was said before."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import TextIOWrapper

from adaspark.arguments import refuse
from adaspark.ask.opening import add_options, opened
from adaspark.errors import UserError

HELP = (
    "A line is a question. /new forgets what was said, /quit leaves, Ctrl-C stops an answer. The "
    "video stays read."
)


def add_chat(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("video", metavar="VIDEO")
    add_options(parser)


def chat(arguments: argparse.Namespace, *, before_loading: Callable[[], None]) -> None:
    """Answer lines of standard input until it ends, or /quit."""
    at = opened(arguments, before_loading=before_loading)
    from adaspark.model.conversation import Conversation

    conversation = Conversation(keeps_turns=True)
    for line in _lines():
        if line == "/quit":
            break
        if line == "/new":
            conversation.forget_turns()
        elif line.startswith("/"):
            refuse(f"There is no {line.split()[0]}: /new or /quit.")
        elif line:
            try:
                with _stopped_by_ctrl_c() as stop:
                    at.answer(line, sys.stdout, conversation=conversation, stop=stop)
            except UserError as error:
                refuse(str(error))
    conversation.close()


def _lines() -> Iterator[str]:
    """Lines of standard input, asked for if somebody types them."""
    is_typed = sys.stdin.isatty()
    if is_typed:
        print(HELP, file=sys.stderr)
    if isinstance(sys.stdin, TextIOWrapper):
        sys.stdin.reconfigure(errors="surrogateescape")  # what is no text is said, not a crash
    while True:
        try:
            line = input("> " if is_typed else "")
        except EOFError:
            return
        yield line.strip()


@contextmanager
def _stopped_by_ctrl_c() -> Iterator[threading.Event]:
    """An event that Ctrl-C sets in the block, instead of ending the program."""
    stop = threading.Event()
    before = signal.signal(signal.SIGINT, lambda *_: stop.set())
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)
