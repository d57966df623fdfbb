import membuf

SECTOR = 512
KEY = 0x5A
SIZE = membuf.ControlCode(0x22, 0x800).encode()


# ram
disk = bytearray(64 * SECTOR)
ram = membuf.Device("ram")


@ram.on_read
def read(request):
    first = request.offset
    request.output_memory().copy_from(disk[first : first + request.length])
    request.complete(information=request.length)


@ram.on_write
def write(request):
    first = request.offset
    disk[first : first + request.length] = request.input_memory().buffer
    request.complete(information=request.length)


@ram.on_ioctl
def size(request):
    request.output_buffer(8)[:8] = len(disk).to_bytes(8, "little")
    request.complete(information=8)


# filter
def scramble(memory):
    for place, byte in enumerate(memory.buffer):
        memory.buffer[place] = byte ^ KEY


def make_vault(below):
    vault = membuf.Device("vault", lower=below, filter=True)

    # reads
    @vault.on_read
    def read(request):
        request.format_read(request.output_memory(), offset=request.offset)
        request.send(on_complete=was_read)

    def was_read(request, target, params, context):
        if params.information:
            scramble(request.output_memory())
        request.complete(params.status, params.information)

    # writes
    copies = membuf.LookasideList(SECTOR, tag="Vlt", parent=vault)

    @vault.on_write
    def write(request):
        copy = copies.allocate()
        copy.copy_from(request.input_memory())
        scramble(copy)
        own = membuf.Request(below)
        own.format_write(copy, offset=request.offset)
        own.send(on_complete=was_written, context=(request, copy))

    def was_written(own, target, params, context):
        request, copy = context
        own.delete()  # lets go of the copy
        copy.delete()  # back to the list
        request.complete(params.status, params.information)

    # made
    return vault


# use
with membuf.open_target("device:ram") as below:
    vault = make_vault(below)
    with vault.open() as handle:
        handle.write(b"a secret".ljust(SECTOR), offset=SECTOR)
        assert disk[SECTOR : SECTOR + 8] != b"a secret"
        assert handle.read(8, offset=SECTOR) == b"a secret"
        assert handle.ioctl(SIZE, None, 8) == len(disk).to_bytes(8, "little")
    vault.delete()

# faults
with membuf.open_target("error(kind=eio,after=2)+device:ram") as below:
    vault = make_vault(below)
    with vault.open() as handle:
        for sector in range(4):
            try:
                handle.write(bytes(SECTOR), offset=sector * SECTOR)
            except membuf.MembufError as error:
                print(sector, error)
    vault.delete()

# accounts
figures = membuf.pool.statistics()
for record in figures.tags:
    print(record.tag, "allocated", record.allocations, "outstanding", record.outstanding)
