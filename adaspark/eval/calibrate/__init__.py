"""The thresholds that meet a FLOPs budget, for all layers or for each."""
