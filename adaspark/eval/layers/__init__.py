"""How densities and entropies run through the layers."""
