"""Where the bundled files lie: asked here by everybody.

They are part of a clone of the repository, not of an installed wheel.
"""

from pathlib import Path

ASSETS = Path(__file__).parents[1] / "assets"
BUNDLED_MODEL = ASSETS / "mini"
"""The bundled checkpoint."""
SAMPLES = ASSETS / "samples"
"""Clips that the page offers."""
TRACES = ASSETS / "traces"
"""Their recorded runs."""
RESULTS = ASSETS / "results"
"""Measured results."""
