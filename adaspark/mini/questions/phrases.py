"""How SparkWorld's questions are worded: short forms that end in their key, and sentences."""

from __future__ import annotations

import random
from typing import Literal

Style = Literal["short", "plain", "loose"]  # a short form, a sentence, a sentence as typed

# Slots: {ref} an object ("circle", "red object", "red circle", "striped circle"), {shape} a shape,
# maybe with its fill, {color}, {a} and {b} two alternatives, {which} "first" or "last", {kind}
# "color" or "shape", {plural} counted things, {secs} a whole second.
SHORT: dict[str, tuple[str, ...]] = {
    "color": ("color {shape}",),
    "shape": ("shape {color}",),
    "motion": ("motion {ref}",),
    "turn": ("turn {ref}",),
    "where": ("place {ref}",),
    "beside": ("beside {a} {b}",),
    "above": ("above {a} {b}",),
    "grounding": ("seconds {ref}",),
    "at_color": ("color at {secs}",),
    "at_shape": ("shape at {secs}",),
    "exists": ("any {ref}",),
    "order_pair": ("{which} {a} {b}",),
    "order_end": ("{which} {kind}",),
    "count_all": ("count",),
    "count_some": ("count {plural}",),
    "most": ("most {kind}",),
}
SENTENCES: dict[str, tuple[str, ...]] = {
    "color": (
        "What color is the {shape}?",
        "What colour is the {shape}?",
        "What is the color of the {shape}?",
        "Which color does the {shape} have?",
        "Tell me the color of the {shape}.",
        "The {shape} is what color?",
    ),
    "shape": (
        "What shape is the {color} object?",
        "What shape is the {color} thing?",
        "What is the {color} object?",
        "What is the shape of the {color} object?",
        "Which shape is {color}?",
        "What shape does the {color} thing have?",
    ),
    "motion": (
        "Which way does the {ref} move?",
        "In which direction does the {ref} move?",
        "What direction does the {ref} go?",
        "Which way is the {ref} moving?",
        "How does the {ref} move?",
    ),
    "turn": (
        "What color does the {ref} turn into?",
        "Which color does the {ref} become?",
        "What color does the {ref} change to?",
        "What is the new color of the {ref}?",
        "Into which color does the {ref} turn?",
    ),
    "where": (
        "Where is the {ref}?",
        "In which corner is the {ref}?",
        "Where in the picture is the {ref}?",
        "Where can I see the {ref}?",
    ),
    "beside": (
        "Is the {a} left or right of the {b}?",
        "Is the {a} to the left or right of the {b}?",
        "Left or right of the {b}: where is the {a}?",
        "On which side of the {b} is the {a}?",
    ),
    "above": (
        "Is the {a} above or below the {b}?",
        "Does the {a} stand above or below the {b}?",
        "Above or below the {b}: where is the {a}?",
    ),
    "grounding": (
        "When is the {ref} visible?",
        "When does the {ref} appear?",
        "When can I see the {ref}?",
        "In which seconds is the {ref} visible?",
        "From when to when is the {ref} visible?",
    ),
    "at_color": (
        "What color is the object at {secs} seconds?",
        "What color is visible at {secs} seconds?",
        "Which color can I see at {secs} seconds?",
        "At {secs} seconds, what color is the object?",
        "What is the color of the object at {secs} seconds?",
    ),
    "at_shape": (
        "What shape is the object at {secs} seconds?",
        "What shape is visible at {secs} seconds?",
        "Which shape can I see at {secs} seconds?",
        "At {secs} seconds, what shape is the object?",
        "What is the shape of the object at {secs} seconds?",
    ),
    "exists": (
        "Is there a {ref}?",
        "Does a {ref} appear?",
        "Is there a {ref} in the video?",
        "Did you see a {ref}?",
        "Can you see a {ref}?",
    ),
    "order_pair": (
        "Which appears {which}, the {a} or the {b}?",
        "Which came {which}, the {a} or the {b}?",
        "What comes {which}, the {a} or the {b}?",
        "Did the {a} or the {b} appear {which}?",
    ),
    "order_end": (
        "What {kind} appears {which}?",
        "Which {kind} comes {which}?",
        "What is the {kind} of the {which} object?",
        "What {kind} does the {which} object have?",
        "Which {kind} came {which}?",
    ),
    "count_all": (
        "How many objects are there?",
        "How many objects appear?",
        "How many shapes appear in the video?",
        "How many things did you see?",
        "Count the objects.",
        "What is the number of objects?",
    ),
    "count_some": (
        "How many {plural} are there?",
        "How many {plural} appear?",
        "How many {plural} did you see?",
        "Count the {plural}.",
    ),
    "most": (
        "Which {kind} is the most common?",
        "Which {kind} appears most often?",
        "What is the most frequent {kind}?",
        "What {kind} do most objects have?",
    ),
}


def word(form: str, rng: random.Random, *, style: Style, **slots: str) -> str:
    """One wording of a question form."""
    templates = SHORT if style == "short" else SENTENCES
    text = rng.choice(templates[form]).format(**slots)
    text = text.replace(" a orange", " an orange").replace(" 1 seconds", " 1 second")
    return loosen(text, rng) if style == "loose" else text


def loosen(text: str, rng: random.Random) -> str:
    """Change case, end mark and spacing now and then; the meaning stays."""
    if rng.random() < 0.25:
        text = text.lower()
    elif rng.random() < 0.04:
        text = text.upper()
    if rng.random() < 0.25:
        text = text.rstrip("?.")
    if rng.random() < 0.08:
        text = text.replace("?", " ?").replace(", ", " ")
    return f" {text} " if rng.random() < 0.04 else text
