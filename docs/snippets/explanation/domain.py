import membuf

# start
with membuf.Domain(tag="Caps", limit=1 << 20):
    held = [membuf.Memory(64 * 1024) for _ in range(8)]
    try:
        membuf.Memory(1 << 20)
    except MemoryError as error:
        print(error)
    held.clear()

assert membuf.pool.statistics().outstanding == 0  # the default domain saw nothing of it
