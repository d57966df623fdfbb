import membuf

page = membuf.Memory(4096, tag="Page", zero=True)
tail = membuf.MemoryDescriptor.handle(page, 3584)  # to the end

with membuf.open_target("file:/dev/null", access="write") as target:
    assert target.write(tail) == 512
    assert target.write(membuf.Mdl(page, 3584)) == 512
