"""What calls people, and what does not."""
