"""The sparse path against dense on a GPU."""
