"""Log lines: how one is made, and its way into the event in progress."""
