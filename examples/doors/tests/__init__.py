"""Test that every example starts with its one line."""
