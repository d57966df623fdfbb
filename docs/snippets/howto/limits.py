import membuf

with membuf.Domain(tag="Imgs", limit=8 << 20) as images:
    frames = membuf.LookasideList(1 << 20, tag="Fram", parent=images)
    held = [frames.allocate() for _ in range(4)]
    try:
        membuf.Memory(16 << 20)
    except membuf.InsufficientResourcesError as error:
        print(error)
    for frame in held:
        frame.delete()
