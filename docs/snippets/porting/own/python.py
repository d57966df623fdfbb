import threading

import membuf

copies = membuf.LookasideList(512, tag="Copy")
over = threading.Event()


def send_copy(target, data):
    own = membuf.Request(target)
    copy = copies.allocate()
    copy.copy_from(data)
    own.format_write(copy)
    copy.delete()  # the format holds it
    own.send(on_complete=done)


def done(own, target, params, context):
    own.delete()  # and the copy goes back to the list
    over.set()


with membuf.open_target("file:/dev/null", access="write") as target:
    send_copy(target, b"header")
    over.wait()
assert copies.statistics().outstanding == 0
