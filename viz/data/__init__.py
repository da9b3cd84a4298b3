"""A Trace to numbers that can be drawn."""
