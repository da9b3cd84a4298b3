"""Where the bundled files lie: asked here by everybody.

In a clone they are `assets/`, beside the packages; a wheel carries the model, the clips and their
recorded runs inside `adaspark` (`packaging.py`).
"""

from pathlib import Path

_CARRIED, _CLONED = Path(__file__).parent / "bundled", Path(__file__).parents[1] / "assets"
ASSETS = _CLONED if (_CLONED / "mini").is_dir() and not _CARRIED.is_dir() else _CARRIED
BUNDLED_MODEL = ASSETS / "mini"
"""The bundled checkpoint."""
SAMPLES = ASSETS / "samples"
"""Clips that the page offers."""
TRACES = ASSETS / "traces"
"""Their recorded runs."""
RESULTS = ASSETS / "results"
"""Measured results; a wheel has none."""
