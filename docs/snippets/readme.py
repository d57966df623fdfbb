import membuf

with membuf.open_target("file:frames.bin", access="write", create=True) as disk:
    frames = membuf.LookasideList(4096, tag="Fram")
    for number in range(1000):
        frame = frames.allocate()  # page-aligned, tagged, recycled
        frame.copy_from(b"frame %d" % number)  # fits, or moves no byte
        disk.write(frame, offset=number * 4096)
        frame.delete()  # back to the list; no view of it shows the next frame
    disk.flush()
print(frames.statistics().hit_rate, membuf.pool.statistics().outstanding)  # zero is zero
