"""Statistics, tables, charts and pages of results."""
