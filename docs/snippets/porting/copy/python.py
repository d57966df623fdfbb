import membuf


def stamp_frame(frame, number):
    tail = bytearray(8)
    frame.copy_from(number.to_bytes(8, "little"))
    # As many bytes as tail has.
    frame.copy_to(tail, offset=4096 - 8)


stamp_frame(membuf.Memory(4096, tag="Capt"), 7)
try:
    stamp_frame(membuf.Memory(4, tag="Capt"), 7)
except membuf.InvalidBufferSizeError as error:  # a ValueError, too
    assert error.status.name == "STATUS_INVALID_BUFFER_SIZE"
