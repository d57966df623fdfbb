import membuf


def make_frame(owner):
    return membuf.Memory(4096, tag="Capt", parent=owner, zero=True)


with membuf.Object(name="capture") as owner:
    frame = make_frame(owner)
    assert frame.address % 4096 == 0
assert frame.deleted  # the owner took it along
