"""A Trace burned into the video."""
