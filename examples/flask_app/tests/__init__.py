"""Test the shop, and what its events know."""
