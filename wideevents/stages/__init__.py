"""The stages of the default pipeline, one a room: count, gate, enrich, redact, encode."""
