"""The sinks: where lines go."""
