import membuf

ring = bytearray(2 * 512)
first, second = memoryview(ring)[:512], memoryview(ring)[512:]

window = membuf.Memory.preallocated(first)
window.assign_buffer(
    second
)  # later: the same object over the other half
window.copy_from(b"second")
window.delete()
assert (
    ring[512:518] == b"second"
)  # the ring is the caller's, and stays
