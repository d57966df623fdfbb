import membuf

device = membuf.Device("direct", membuf.DIRECT)


@device.on_read
def read(request):
    request.output_memory().copy_from(b"abcd")
    assert bytes(mine) == b"abcd.."  # these are the originator's own bytes
    assert request.output_mdl().address == address
    request.complete(information=4)


mine = bytearray(b"......")
address = membuf.Mdl(mine).address
with device.open() as handle:
    handle.read_into(mine)
