"""Ten families of questions: dense, sparse and sparse-tuned."""
