import membuf


def load():
    return membuf.Memory(4096, tag="Page")


pages = [load() for _ in range(3)]
scratch = membuf.pool.allocate(100, tag="Scra")

for record in membuf.pool.statistics().tags:
    if record.outstanding:
        print(record.tag, record.outstanding, record.bytes)

print("asked for", pages[0].site.rpartition("/")[2])
scratch.free()
