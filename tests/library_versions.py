"""Marks of what transformers itself does otherwise in the oldest version that we support."""

from __future__ import annotations

import pytest
import transformers

_IS_OLDEST = transformers.__version__.startswith("5.17.")


def not_in_5_17(reason: str) -> pytest.MarkDecorator:
    """Skips a test there, for a reason that was seen on the stock model."""
    return pytest.mark.skipif(_IS_OLDEST, reason=f"transformers 5.17 {reason}")


prefills_in_chunks = not_in_5_17("raises where one prompt is prefilled in chunks, stock too")
reorders_quantised_beams = not_in_5_17("raises where beams share a quantised cache, stock too")
leaves_out_types = not_in_5_17("works types out itself in generate: the call runs sparse")
resets_whole_caches = not_in_5_17("keeps the length of a cache that is reset: it runs dense")
