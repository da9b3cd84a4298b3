"""A video file to checked, sampled and resized frames."""
