import membuf

job = membuf.Object(name="copy")
chunk = membuf.Memory(64 * 1024, tag="Chnk", parent=job)

job.delete()  # the chunk goes with it

try:
    chunk.copy_from(b"hello")
except membuf.ObjectDeletedError as error:
    print(error)
