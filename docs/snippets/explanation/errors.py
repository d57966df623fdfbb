import membuf

# start
memory = membuf.Memory(100)
try:
    memory.copy_from(bytes(8), offset=96)
except ValueError as error:  # or membuf.MembufError, or membuf.InvalidBufferSizeError
    assert error.status == 0xC0000206
    assert error.offset == 96
    assert error.available == 4
