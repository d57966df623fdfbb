cdef class Irp:
    cdef public object major
    cdef public object offset
    cdef public object length
    cdef public object code
    cdef public object input_length
    cdef public object output_length
    cdef public object arguments
    cdef public object system_buffer
    cdef public object mdl
    cdef public object user_buffer
    cdef public object type3_input
    cdef public object mode
    cdef public object file
    cdef public object status
    cdef public object information
    cdef public unsigned long thread
    cdef public int stack_count
    cdef public int location
    cdef public bint write_through
    cdef public bint cancelled
    cdef public bint completed
    cdef object cancel_routine
    # The routine that was pushed last, and those below it: most packets have one.
    cdef int routines
    cdef object routine
    cdef int level
    cdef list below

    cdef object pop(self)
    cdef int finish(self, object status, object information) except -1
