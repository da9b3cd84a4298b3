"""How large a video may be: checked before anything is decoded, and again as it is."""

from dataclasses import dataclass

from adaspark.errors import UserError


@dataclass(frozen=True)
class Limits:
    """How large a video may be (None: as large as it is); more is refused before decoding.

    `max_pixels` are of one frame, of whichever is decoded. `max_fps` is of its playing speed.
    `max_streams` and `max_packets` count sound and all else that is in the file.
    """

    max_bytes: int | None = None
    max_duration_secs: float | None = None
    max_pixels: int = 4096 * 4096
    max_frames: int = 1_000_000
    max_fps: float = 1000.0
    max_streams: int = 64
    max_packets: int = 5_000_000

    def check_streams(self, streams: int, name: str) -> None:
        """Raise UserError for too many streams."""
        if streams > self.max_streams:
            raise UserError(
                f"{name} has {streams:,} streams and the limit is {self.max_streams:,}: export its "
                "picture alone."
            )

    def check_packets(self, frames: int, packets: int, name: str) -> None:
        """Raise UserError for too many frames, or packets in all."""
        if frames > self.max_frames:
            raise UserError(f"{name} has more than {self.max_frames:,} frames: cut it into parts.")
        if packets > self.max_packets:
            raise UserError(
                f"{name} has more than {self.max_packets:,} packets: export its picture alone, or "
                "cut it into parts."
            )

    def check_duration(self, secs: float, frames: int, name: str) -> None:
        """Raise UserError for a video that is too long, or faster than any is played."""
        if self.max_duration_secs is not None and secs > self.max_duration_secs:
            raise UserError(
                f"{name} lasts {secs:,.1f} s and the limit is {self.max_duration_secs:,.0f} s: cut "
                "it into parts."
            )
        if frames > 1 and frames > self.max_fps * secs:
            raise UserError(
                f"{name} has {frames / secs:,.0f} frames a second and the limit is "
                f"{self.max_fps:,.0f}: export it at the speed at which it is played."
            )

    def check_growth(self, width: int, height: int, name: str) -> None:
        """Raise UserError for a frame that is larger than the limit, after smaller ones."""
        if width * height > self.max_pixels:
            raise UserError(
                f"{name} grows to {width} x {height} pixels and the limit is {self.max_pixels:,} "
                "pixels a frame: scale the video down."
            )


DEFAULT_LIMITS = Limits()
