import membuf

lower = membuf.open_target("file:/dev/null", access="write")
device = membuf.Device("upper")


@device.on_write
def write(request):
    own = membuf.Request(lower)
    # Without the header.
    own.format_write(request.input_memory(), memory_offset=512)
    own.send(on_complete=done, context=request)


def done(own, target, params, received):
    own.delete()  # first: it holds their memory
    received.complete(params.status, params.information)


with device.open() as handle:
    assert handle.write(bytes(1024)) == 512
lower.close()
