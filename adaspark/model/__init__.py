"""Where the method meets transformers: the patch, checkpoints, prompts, one question."""
