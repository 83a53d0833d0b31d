"""The tests of the doctor."""
