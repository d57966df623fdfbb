import membuf

chunk = membuf.Memory(64 * 1024, tag="Chnk")
chunk.copy_from(b"hello")
print(chunk.size, chunk.tag, bytes(chunk.buffer[:5]))

try:
    chunk.copy_from(b"too far", offset=64 * 1024 - 3)
except ValueError as error:
    print(error)
