import membuf

# start
with membuf.open_target("file:data.bin", create=True) as target:
    memory = membuf.Memory(4096, tag="Data", zero=True)
    request = membuf.Request(target)

    request.format_write(memory, offset=0)
    assert memory.reference_count == 2  # the request holds it from here on
    request.send(synchronous=True)

    assert memory.reference_count == 2  # still: its completion may look at the bytes
    request.reuse()
    assert memory.reference_count == 1
