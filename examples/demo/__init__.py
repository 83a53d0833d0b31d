"""Run the example shop under a real server, send it customers, and show the events they left."""
