from pathlib import Path

import membuf
from membuf.target.filters import Filter
from membuf.testing import check_target

# start
name = "stats+error(kind=eio,rate=5%,seed=1)+delay(time=200us,on=write)+file:disk.img"
with membuf.open_target(name, create=True) as target:
    failed = 0
    for block in range(200):
        try:
            target.write(bytes(4096), 4096 * block)
        except OSError:
            failed += 1
    writes = target.figures["write"]
    assert writes.count == 200
    assert writes.errors == failed > 0
    assert writes.mean > 0.0001
# end


# own
class Scrambler(Filter):
    """Turns every bit over on its way down and up."""

    filter_name = "scrambler"

    def steps(self, transfer):
        if transfer.verb == "write":
            for view in transfer.views():
                view[:] = bytes(byte ^ 0xFF for byte in view)
        count = yield transfer.down()
        for view in transfer.views():
            view[:] = bytes(byte ^ 0xFF for byte in view)
        return count


membuf.bus.register_filter(Scrambler)
with membuf.open_target("scrambler+file:disk.img") as target:
    target.write(bytearray(b"secret"), 0)
    read = bytearray(6)
    target.read(read, 0)
    assert read == b"secret"
    assert Path("disk.img").read_bytes()[:6] != b"secret"
# owned

# kit
check_target(lambda: membuf.open_target("stats+checksum+file:disk.img"))
