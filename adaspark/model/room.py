"""What fits a model: video and text in its context, and a request in a GPU's memory."""

from __future__ import annotations

from typing import Any

from adaspark.errors import UserError
from adaspark.model.out_of_memory import token_bytes


class Room:
    """The tokens that a model holds: its context, of which video may take `max_video_tokens`.

    Frames and tokens below are those that a video is shown as.
    """

    def __init__(self, model: Any, max_video_tokens: int | None = None) -> None:
        self._model = model
        self.context: int = model.config.text_config.max_position_embeddings
        self.max_video_tokens: int = min(self.context, max_video_tokens or self.context)

    def fitting_frames(self, frames: int, video_tokens: int) -> int:
        """How many frames of a video leave half of the model's tokens free; at least 2."""
        return max(2, frames * self.max_video_tokens // (2 * video_tokens))

    def check_video(self, frames: int, video_tokens: int) -> None:
        """Raise UserError where a video alone takes all that the model holds."""
        if video_tokens >= self.max_video_tokens:
            raise UserError(
                f"This video takes {video_tokens:,} tokens and the model holds "
                f"{self.max_video_tokens:,}: show it at most "
                f"{self.fitting_frames(frames, video_tokens)} frames."
            )

    def check_prompt(self, video: int, text: int, answer: int, *, goes_on: bool) -> None:
        """Raise UserError unless so many tokens fit the context together; `goes_on`: after others
        of a conversation.
        """
        if video + text + answer > self.context:
            less = "begin a new conversation" if goes_on else "ask a shorter question"
            raise UserError(
                f"{video:,} tokens of video, {text:,} of text and an answer of up to {answer:,} "
                f"are more than the {self.context:,} that the model holds: show fewer frames, "
                f"{less}, or for fewer words."
            )

    def out_of_memory(self, frames: int, video_tokens: int, free: int) -> UserError:
        """What to say of a video that a GPU had no memory for, once `free` bytes of it are: the
        most frames that fit.
        """
        each = token_bytes(self._model.config.text_config, self._model.dtype.itemsize)
        # What has just failed does not fit, whatever the count says.
        tokens = min(int(free / each), 9 * video_tokens // 10)
        fitting = tokens * frames // video_tokens // 2 * 2
        advice = f"show it at most {fitting} frames" if fitting >= 2 else "show smaller frames"
        return UserError(
            f"The GPU ran out of memory over {video_tokens:,} video tokens, and was "
            f"freed of what was kept: {advice}."
        )
