"""Follow one order through five processes, whose lines join into one trace."""
