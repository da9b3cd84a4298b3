"""The web app: what is on screen, and what happens behind it."""
