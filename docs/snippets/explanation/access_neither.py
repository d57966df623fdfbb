import membuf

device = membuf.Device("neither", membuf.NEITHER)


@device.on_in_caller_context
def look(request):
    pointer = request.unsafe_input_buffer(4)  # nobody has looked at it yet
    request.context["locked"] = request.probe_and_lock_for_read(pointer, 4)
    device.enqueue(request)


@device.on_write
def write(request):
    locked = request.context["locked"]  # good from any thread
    assert bytes(locked.buffer) == b"abcd"
    assert locked.readonly
    request.complete(information=4)


with device.open() as handle:
    assert handle.write(b"abcd") == 4
