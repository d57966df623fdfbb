import membuf

# start
frames = membuf.LookasideList(4096, tag="Fram")

first = frames.allocate()
first.copy_from(b"the first frame")
view = first.buffer  # forgotten, as views are
address = first.address
first.delete()

second = frames.allocate()
second.copy_from(b"somebody else's")

assert bytes(view[:15]) == b"the first frame"  # not "somebody else's"
assert second.address != address  # the first block was set aside
