cdef class Exporter:
    pass
