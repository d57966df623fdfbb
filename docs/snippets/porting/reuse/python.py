from pathlib import Path

import membuf

page = membuf.Memory(4096, tag="Page")
Path("data.img").write_bytes(bytes(8 * 4096))
with membuf.open_target("file:data.img", access="read") as target:
    own = membuf.Request(target)
    for i in range(8):
        own.format_read(page, offset=i * 4096)
        own.send(synchronous=True)
        own.reuse()  # lets the page go
    assert page.reference_count == 1
