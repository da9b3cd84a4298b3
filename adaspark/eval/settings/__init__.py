"""Several settings of the dials against dense, family by family."""
