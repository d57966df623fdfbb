import membuf

job = membuf.Object(name="copy")
chunks = membuf.LookasideList(64 * 1024, tag="Chnk", parent=job)

first = chunks.allocate(parent=job)
address = first.address
first.delete()  # its block goes back to the list, not to the system

second = chunks.allocate(parent=job)
assert second.address == address  # last in, first out: still in the cache

statistics = chunks.statistics()
print(statistics.allocations, "allocations,", statistics.misses, "from the pool")
job.delete()
