import membuf

ring = bytearray(8192)

pages = membuf.Mdl(ring)
pages.lock("write")
try:
    assert "resident" in pages.guarantees  # and what else holds
    pages.buffer[:4] = b"ring"
finally:
    pages.unlock()

try:
    membuf.Mdl(bytes(8192)).lock("write")
except membuf.AccessViolationError as error:  # a TypeError, too
    assert error.status.name == "STATUS_ACCESS_VIOLATION"
