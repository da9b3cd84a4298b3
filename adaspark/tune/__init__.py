"""Fine-tuning a checkpoint to its own sparsity: `adaspark tune`, a LoRA adapter by peft."""
