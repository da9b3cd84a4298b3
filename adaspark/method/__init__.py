"""The method on tensors: what is chosen, and what is computed of it. No model, no kernel."""
