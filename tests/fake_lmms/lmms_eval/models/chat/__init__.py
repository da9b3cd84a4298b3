"""Models that are handed messages."""
