"""The words of SparkWorld: its shapes, colours, fills, styles and directions.

Scenes are drawn from them, questions ask about them, the tokenizer spells them.
"""

from __future__ import annotations

RGB = tuple[int, int, int]

SHAPES = ("circle", "square", "triangle", "star", "heart", "cross")
PALETTE: dict[str, RGB] = {
    "red": (214, 40, 40),
    "green": (46, 160, 67),
    "blue": (40, 90, 220),
    "yellow": (245, 215, 60),
    "purple": (145, 60, 190),
    "orange": (245, 135, 30),
}
COLORS = tuple(PALETTE)
FILLS = ("solid", "striped")
STYLES = ("room", "plain", "tiles", "night")
PATTERNS = ("checker", "rings")
STEPS = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1), "still": (0, 0)}
DIRECTIONS = tuple(STEPS)
MAX_EVENTS = 6
MAX_DISTRACTORS = 3
