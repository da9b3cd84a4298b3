"""What `ask` and `chat` share: options, the model and the video, the words of an answer."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TextIO

from adaspark.arguments import (
    add_dials,
    add_limits,
    add_model,
    add_shown,
    add_words,
    number,
    typed_dials,
    typed_drawing,
    typed_limits,
    typed_shown,
)
from adaspark.errors import UserError
from adaspark.method.config import THRESHOLDS, AdaSparkConfig
from adaspark.model.checkpoint_source import locate
from adaspark.progress import with_time_left

if TYPE_CHECKING:
    import threading

    from adaspark.model.conversation import Conversation
    from adaspark.model.engine import Engine
    from adaspark.model.events import Result
    from adaspark.model.request import Options


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options that say how a video is shown to which model, and what it may say."""
    add_dials(parser)
    parser.add_argument("--dense", action="store_true", help="drop nothing (both p = 1)")
    add_model(parser)
    parser.add_argument(
        "--yarn", type=number, metavar="F", help="stretch the context F times (a trained one blurs)"
    )
    add_shown(parser)
    add_words(parser)
    add_limits(parser)


@dataclass(frozen=True)
class Opened:
    """A loaded model, a video that it can be shown, and how.

    `plays` is the video's path if browsers play the file itself, None if not.
    """

    engine: Engine
    video: str
    options: Options
    plays: str | None

    def answer(
        self,
        question: str,
        words: TextIO,
        *,
        conversation: Conversation | None = None,
        stop: threading.Event | None = None,
    ) -> Result | None:
        """Write the words of an answer as they come, and end the line; None if it was stopped
        before the first one. Raises UserError.
        """
        from adaspark.model.events import Result, Word

        result = None
        events = self.engine.ask(
            self.video, question, self.options, stop=stop, conversation=conversation
        )
        for event in with_time_left(events) if sys.stderr.isatty() else events:
            if isinstance(event, Word):
                print(event.text, end="", file=words, flush=True)
            elif isinstance(event, Result):
                result = event
        print(file=words, flush=True)
        return result


def opened(arguments: argparse.Namespace, *, before_loading: Callable[[], None]) -> Opened:
    """Open what was asked for. What is wrong is said before the model is loaded: a wrong value
    should not cost a minute. Raises UserError.
    """
    given = typed_dials(arguments)
    if arguments.dense and (typed := [name for name in THRESHOLDS if name in given]):
        flag = "--" + typed[0].replace("_", "-")
        raise UserError(f"--dense drops nothing, so it goes without {flag}.")
    if arguments.dense:
        given |= {"attn_top_p": 1.0, "ffn_top_p": 1.0, "text_top_p": None}
    config = AdaSparkConfig.from_dict(given)
    from adaspark.model.request import Options
    from adaspark.model.shown import chosen_sampling, preset_sampling
    from adaspark.video.clip import Sampling
    from adaspark.video.probe import scan

    options = Options(
        config,
        max_new_tokens=arguments.max_new_tokens,
        drawing=typed_drawing(arguments),
        limits=typed_limits(arguments),
        **typed_shown(arguments),
    )
    if arguments.preset is not None:
        preset_sampling(arguments.preset)
    chosen_sampling(Sampling(), **options.sampling)
    locate(arguments.model)
    scanned = scan(arguments.video, options.limits, fps=options.fps)
    before_loading()
    from adaspark.model.engine import Engine
    from adaspark.model.feature_files import default_folder

    engine = Engine(
        arguments.model,
        arguments.device,
        adapter=arguments.adapter,
        preset=arguments.preset,
        yarn=arguments.yarn,
        features_folder=default_folder(),
    )
    config = AdaSparkConfig.from_dict({**engine.default_config.to_dict(), **given})
    options = replace(options, config=config)
    if note := engine.estimate(arguments.video, limits=options.limits, **options.sampling).note:
        print(f"adaspark: {note}.", file=sys.stderr)
    plays = arguments.video if scanned.plays_in_browsers else None
    return Opened(engine, arguments.video, options, plays)
