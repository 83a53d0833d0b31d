"""Code that is only type-checked: `mypy` reads it, and nobody runs it."""
