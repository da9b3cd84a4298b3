"""What the chosen cubes hold of dense attention, and what skipping costs the FFN."""
