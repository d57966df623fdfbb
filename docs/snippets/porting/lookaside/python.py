import membuf

with membuf.Object(name="capture") as owner:
    packets = membuf.LookasideList(2048, tag="Pckt", parent=owner)
    for _ in range(2):
        with packets.allocate() as packet:
            packet.copy_from(b"header")
        # the end of `with` deletes it: back to the list
    # The second came from it.
    assert packets.statistics().hit_rate == 0.5
