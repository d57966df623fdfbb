"""I/O targets: the sending side of the framework."""
