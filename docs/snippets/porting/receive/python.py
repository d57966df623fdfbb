import membuf

DISK = bytes(range(256))
device = membuf.Device("disk", membuf.BUFFERED)
queue = device.queue(dispatch="sequential", default=True)


@queue.on_read
def read(request):
    request.output_memory().copy_from(DISK[: request.length])
    request.complete(information=request.length)


with device.open() as handle:
    assert handle.read(4) == b"\0\1\2\3"
