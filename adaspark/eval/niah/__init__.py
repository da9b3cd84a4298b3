"""Needles by clip length and depth."""
