import pickle

import numpy as np
import pyarrow as pa

import membuf

memory = membuf.Memory(4096, tag="Samp", zero=True)

samples = np.frombuffer(memory, dtype=np.uint32)
samples[:4] = [1, 2, 3, 4]

column = pa.py_buffer(memory)
assert column.address == memory.address

tensor = np.from_dlpack(memory)
assert tensor[4] == 2

buffers = []
pickled = pickle.dumps(memory, protocol=5, buffer_callback=buffers.append)
copy = pickle.loads(pickled, buffers=buffers)
assert bytes(copy.buffer[:4]) == bytes(memory.buffer[:4])
