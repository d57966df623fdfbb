import membuf

packet = membuf.Mdl(bytearray(1500))
packet.lock("read")

payload = packet.partial(42)  # to the end; shares the pages
assert payload.byte_count == 1458
assert payload.address == packet.address + 42

del payload  # before its source
packet.unlock()
