"""The doors: one thin room for each way in, over the one request engine in `_request`."""
