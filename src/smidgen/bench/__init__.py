"""Measurements against other runtimes: one runner, one file a rival in `rivals/`."""
