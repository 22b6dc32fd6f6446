"""Networks for other people's runtimes: a file a target."""
