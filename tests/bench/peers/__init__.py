"""What writes an event per request, or a line: one room each, so that a process holds one of them alone."""
