"""The serving side of NBD: from a listening socket to the packets that a device receives."""
