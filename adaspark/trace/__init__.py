"""What a run decided: recorded, kept, counted and summed up."""
