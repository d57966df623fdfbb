"""I/O requests: what is sent to a target, and holds its memory until it is done with it."""
