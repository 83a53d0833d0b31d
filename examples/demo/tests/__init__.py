"""Test the demo on what it really writes."""
