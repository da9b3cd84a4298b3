"""Models that are handed pictures."""
