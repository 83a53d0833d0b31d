"""Test the chain with its real processes."""
