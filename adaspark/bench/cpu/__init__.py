"""The sparse path against the stock model on a CPU."""
