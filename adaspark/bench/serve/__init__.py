"""The whole request, stock against ours, recorded and not."""
