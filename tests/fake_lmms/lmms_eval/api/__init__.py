"""What the fake's models share."""
