"""How far the bundled model was trained, and what is said of what lies beyond: no torch here."""

from __future__ import annotations

BUNDLED_FRAMES = 256
"""The most frames of a clip that the bundled model was trained on."""


def trained_note(*, is_bundled: bool, frames: int) -> list[str]:
    """That the bundled model was trained on fewer frames, where it was."""
    if not is_bundled or frames <= BUNDLED_FRAMES:
        return []
    return [
        f"The bundled model was trained on at most {BUNDLED_FRAMES} frames and is shown "
        f"{frames:,}: what it says of them is extrapolated and may be wrong."
    ]
