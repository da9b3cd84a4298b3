"""Many prompts in one masked forward pass, dense and sparse, with gradients."""
