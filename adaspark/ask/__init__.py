"""Questions on the command line: `adaspark ask` and `adaspark chat`."""
