"""What all experiments share: clips, conditions, asking, running, resuming."""
