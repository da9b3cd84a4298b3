"""Charts of a Trace, in Plotly."""
