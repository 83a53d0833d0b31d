"""The stages of the default pipeline, one a room: alert, sample, gate, enrich, redact, encode, and held lines."""
