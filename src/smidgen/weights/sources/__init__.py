"""One file a publisher; each defines `ROWS: tuple[Published, ...]`."""
