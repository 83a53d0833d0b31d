"""Show a pytest suite the events its code wrote."""
