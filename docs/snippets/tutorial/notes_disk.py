import membuf

SIZE = 64 << 20
store = bytearray(SIZE)

device = membuf.Disk("notes", size=SIZE, block_size=512)


@device.on_read
def read(request):
    begin, end = request.offset, request.offset + request.length
    request.output_memory().copy_from(memoryview(store)[begin:end])
    request.complete(information=request.length)


@device.on_write
def write(request):
    begin, end = request.offset, request.offset + request.length
    request.input_memory().copy_to(memoryview(store)[begin:end])
    request.complete(information=request.length)


# trim
zeros = bytes(1 << 20)


@device.on_trim
@device.on_zero
def clear(offset, length):
    for begin in range(offset, offset + length, len(zeros)):
        end = min(begin + len(zeros), offset + length)
        store[begin:end] = zeros[: end - begin]


# where
@device.on_extents
def extents(offset, length):
    for begin in range(offset, offset + length, 65536):
        end = min(begin + 65536, offset + length)
        yield membuf.Extent(begin, end - begin, data=any(store[begin:end]))
