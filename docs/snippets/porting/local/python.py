import membuf


def sort_later(count):
    scratch = membuf.pool.allocate(
        count * 4, tag="Locl", pool=membuf.PAGED, zero=True
    )
    memoryview(scratch).cast("I")[0] = count
    membuf.pool.free(scratch, tag="Locl")


with membuf.Domain(on_leak="raise"):  # frees are checked at the end
    sort_later(1000)
