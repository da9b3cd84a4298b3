"""One question looked at closely: where the cubes that matter are."""
