import membuf


# start
def announce(event):
    return lambda item: print(event, item.name)


def make(name, parent=None):
    return membuf.Object(
        name=name,
        parent=parent,
        on_cleanup=announce("cleanup"),
        on_destroy=announce("destroy"),
    )


connection = make("connection")
header = make("header", connection)
make("checksum", header)
make("payload", connection)

connection.delete()
