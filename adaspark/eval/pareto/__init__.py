"""Right answers against FLOPs, beside fewer frames and pruned tokens."""
