import membuf

device = membuf.Device("disk")


@device.on_write
def write(request):
    memory = request.input_memory()
    memory.reference(tag="mine")
    try:
        request.complete(information=request.length)
    except membuf.MembufError as error:
        assert error.bugcheck[:2] == (0x10D, 3)  # where Windows would stop
        assert not request.completed  # nothing has changed
    memory.dereference(tag="mine")
    request.complete(information=request.length)


with device.open() as handle:
    assert handle.write(b"abc") == 3
