"""One small application for every door, each of which starts with the line in its docstring."""
