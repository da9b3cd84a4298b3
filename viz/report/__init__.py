"""A Trace as one offline page."""
