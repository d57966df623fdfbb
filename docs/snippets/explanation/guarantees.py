import membuf

# start
mdl = membuf.Mdl(bytearray(10_000))
assert mdl.guarantees == frozenset()

mdl.lock()
assert mdl.guarantees == {"resident"}
try:
    mdl.frames
except membuf.FrameUnknownError as error:
    assert "may change at any time" in str(error)

try:
    mdl.pin()
except membuf.MembufError as error:
    print(error)  # no io_uring here, or too much for the limit
else:
    assert mdl.guarantees >= {"resident", "pinned"}
    if "frames-known" in mdl.guarantees:  # with CAP_SYS_ADMIN
        assert len(mdl.frames) == mdl.page_count
    mdl.unpin()

assert mdl.guarantees == {"resident"}
mdl.unlock()
mdl.free()
