"""One request from question to trace: the queue, sessions, estimates and results."""
