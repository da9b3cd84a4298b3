"""`adaspark ask`: questions about one video, which is read once for all of them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from adaspark.ask.opening import add_options, opened
from adaspark.errors import UserError
from adaspark.outputs import check_apart, check_outputs, write_outputs


def add_ask(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("video", metavar="VIDEO")
    parser.add_argument("question", metavar="QUESTION", nargs="?")
    parser.add_argument(
        "--question",
        dest="questions",
        action="append",
        default=[],
        metavar="QUESTION",
        help="another one about the same video, each by itself; may be given again",
    )
    add_options(parser)
    parser.add_argument("--json", metavar="PATH", help="write the figures (- for standard output)")
    parser.add_argument("--trace", metavar="PATH.npz", help="write what was decided")
    parser.add_argument("--report", metavar="PATH.html", help="write an offline page")


def ask(arguments: argparse.Namespace, *, before_loading: Callable[[], None]) -> None:
    """Answer the questions in their order, and write the files."""
    outputs = (None if arguments.json == "-" else arguments.json, arguments.trace, arguments.report)
    check_outputs(*outputs)
    check_apart(*outputs)
    questions = _questions(arguments)
    at = opened(arguments, before_loading=before_loading)
    from adaspark.model.conversation import Conversation

    # Words go to standard output as they come, unless the JSON does.
    words = sys.stderr if arguments.json == "-" else sys.stdout
    conversation = Conversation() if len(questions) > 1 else None
    found = [at.answer(question, words, conversation=conversation) for question in questions]
    results = [result for result in found if result is not None]
    warnings = [warning for result in results for warning in result.trace.meta.warnings]
    for warning in dict.fromkeys(warnings):
        print(f"adaspark: {warning}", file=sys.stderr)
    write_outputs(results, at.plays, arguments.json, arguments.trace, arguments.report)


def _questions(arguments: argparse.Namespace) -> list[str]:
    first = [] if arguments.question is None else [arguments.question]
    questions: list[str] = [*first, *arguments.questions]
    if not questions:
        raise UserError("There is no question: type one after the video, in quotes.")
    if not all(question.strip() for question in questions):
        raise UserError("The question is blank: type one, in quotes.")
    if len(questions) > 1 and (arguments.trace or arguments.report):
        flag = "--trace" if arguments.trace else "--report"
        raise UserError(f"{flag} is of one question: ask one, or use `adaspark inspect` for many.")
    return questions
