import membuf

ring = bytearray(2 * 512)
first, second = memoryview(ring)[:512], memoryview(ring)[512:]

window = membuf.Memory.preallocated(first)
# Later: the same object over the other half.
window.assign_buffer(second)
window.copy_from(b"second")
window.delete()
# The ring is the caller's, and stays.
assert ring[512:518] == b"second"
