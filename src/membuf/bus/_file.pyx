# cython: language_level=3, binding=False, freethreading_compatible=True
"""What files can do that the standard library does not offer."""

from libc.errno cimport errno
from libc.stdint cimport int64_t, uint32_t

from membuf.base.errors import from_errno


cdef extern from *:
    """
    #include <fcntl.h>
    #include <stdint.h>
    #include <string.h>
    #include <unistd.h>
    #include <sys/syscall.h>

    /* struct statx by its documented layout, so that a kernel newer than the C library's headers
       can answer: the mask is its first word, the alignments of direct I/O (mask 0x2000, Linux
       6.1) are the 32-bit words at bytes 152 and 156. */
    static int membuf_direct_alignment(int fd, uint32_t *memory, uint32_t *offset)
    {
        union { uint32_t words[64]; uint64_t align; } answer;
        memset(&answer, 0, sizeof answer);
        if (syscall(SYS_statx, fd, "", 0x1000 /* AT_EMPTY_PATH */, 0x2000, &answer) != 0) {
            return -1;
        }
        if ((answer.words[0] & 0x2000) == 0) {
            return 0;
        }
        *memory = answer.words[38];
        *offset = answer.words[39];
        return 1;
    }

    static void membuf_start_writeback(int fd, int64_t offset, int64_t length)
    {
        /* A hint: whether the bytes arrive is for fsync to say. */
        (void)sync_file_range(fd, offset, length, SYNC_FILE_RANGE_WRITE);
    }

    static int membuf_punch(int fd, int64_t offset, int64_t length)
    {
        return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, length);
    }

    static int membuf_zero(int fd, int64_t offset, int64_t length)
    {
        return fallocate(fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, offset, length);
    }
    """
    int membuf_direct_alignment(int fd, uint32_t *memory, uint32_t *offset) nogil
    int membuf_punch(int fd, int64_t offset, int64_t length) nogil
    int membuf_zero(int fd, int64_t offset, int64_t length) nogil
    void membuf_start_writeback(int fd, int64_t offset, int64_t length) nogil


def direct_alignment(int fd):
    """What the system says direct I/O on a descriptor needs: (memory, offset) in bytes.

    Returns:
        None where it does not say; (0, 0) where it says that direct I/O is not possible.
    """
    cdef uint32_t memory = 0
    cdef uint32_t offset = 0
    cdef int answer = membuf_direct_alignment(fd, &memory, &offset)
    return (memory, offset) if answer == 1 else None


def start_writeback(int fd, Py_ssize_t offset, Py_ssize_t length):
    """Have the system begin to write what its cache holds of a part of a file."""
    with nogil:
        membuf_start_writeback(fd, offset, length)


def punch(int fd, Py_ssize_t offset, Py_ssize_t length):
    """Make a hole; the size of the file stays.

    Raises:
        MembufError: with the system's errno, EOPNOTSUPP where the file system has no holes.
    """
    cdef int answer
    with nogil:
        answer = membuf_punch(fd, offset, length)
    if answer != 0:
        raise from_errno(
            errno, f"a hole of {length} bytes at offset {offset}",
            operands={"offset": offset, "length": length},
        )


def zero(int fd, Py_ssize_t offset, Py_ssize_t length):
    """Have bytes read as zeros, and keep their room; the size of the file stays.

    Raises:
        MembufError: with the system's errno, EOPNOTSUPP where the file system cannot.
    """
    cdef int answer
    with nogil:
        answer = membuf_zero(fd, offset, length)
    if answer != 0:
        raise from_errno(
            errno, f"zeros of {length} bytes at offset {offset}",
            operands={"offset": offset, "length": length},
        )
