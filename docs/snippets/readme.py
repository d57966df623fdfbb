import membuf

with membuf.Object(name="capture") as capture:  # owns what follows, and deletes it
    frames = membuf.LookasideList(4096, tag="Fram", parent=capture)
    for number in range(1000):
        frame = frames.allocate(parent=capture)  # aligned, recycled, accounted for
        frame.copy_from(b"frame %d" % number)  # fits, or moves no byte
        frame.delete()  # back to the list; a view of it never shows the next frame
    print(frames.statistics().hit_rate)
print(membuf.pool.statistics().outstanding)  # zero is zero
