"""Show wideevents in the kind of code people have."""
