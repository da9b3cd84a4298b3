"""What attention looks at: distances, sinks, and the cubes that hold the answer."""
