import membuf

device = membuf.Device("buffered")  # the default: io_type=membuf.BUFFERED


@device.on_read
def read(request):
    request.output_memory().copy_from(b"abcdef")
    assert bytes(mine) == b"......"  # the originator sees nothing yet
    request.complete(information=4)


mine = bytearray(b"......")
with device.open() as handle:
    assert handle.read_into(mine) == 4
assert mine == b"abcd.."  # as many bytes as the driver reported, no more
