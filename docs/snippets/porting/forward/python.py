import membuf

lower = membuf.open_target("file:/dev/zero", access="read")
device = membuf.Device("upper", lower=lower)


@device.on_read
def read(request):
    request.format_read(request.output_memory())
    request.send(on_complete=done)


def done(request, target, params, context):
    # The memory is held still; completing lets it go.
    request.complete(params.status, params.information)


with device.open() as handle:
    assert handle.read(4) == bytes(4)
lower.close()
