"""Uploads, the browser's copies of videos, samples and recorded runs."""
