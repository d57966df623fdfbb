"""NBD servers to compare with, the clients that measure them, and the starting and ending of both.

The servers without a framework (`protocol_server.py`, `threads_server.py`) are what a careful
programmer gets out of plain Python when nothing guards the buffers: they are the bar.
"""
