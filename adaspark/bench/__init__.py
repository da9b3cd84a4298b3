"""Timed comparisons: parity first, no figure from a red tree."""
