import membuf

device = membuf.Device("disk")
kept = []


@device.on_read
def read(request):
    memory = request.output_memory()
    assert request.output_memory() is memory  # one handle, however often it is asked for
    memory.copy_from(b"first request's")
    kept[:] = [memory, memory.buffer]  # as forgetful drivers do
    request.complete(information=15)


with device.open() as handle:
    handle.read(15)
    memory, view = kept

    assert memory.deleted  # the request is complete: calls on its memory raise

    handle.read(15)
    assert bytes(view) == b"first request's"  # a view never shows another request
