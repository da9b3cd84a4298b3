"""What is on the screen: templates, controls and what they call."""
