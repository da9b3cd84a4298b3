"""Training and sparse tuning of the bundled model."""
