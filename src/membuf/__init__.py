"""The memory-buffer system of the Windows Driver Frameworks, in user space, for Python."""
