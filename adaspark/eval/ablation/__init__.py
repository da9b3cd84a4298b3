"""Rules for choosing cubes, compared at matched density."""
