/* Copies into and out of memory objects: all of it or, with an error, nothing. */
#include "native.h"

#include <string.h>

#define NO_GIL_COPY ((size_t)16 << 20) /* below this, waiting for the lock costs more than it frees */

static const char *const copy_from_names[] = {"source", "offset", NULL};
static const char *const copy_to_names[] = {"destination", "offset", NULL};
static PyObject *copy_from_interned[2], *copy_to_interned[2];
static Signature copy_from_signature = {"copy_from", copy_from_names, copy_from_interned, 2, 1};
static Signature copy_to_signature = {"copy_to", copy_to_names, copy_to_interned, 2, 1};

static void move_bytes(Memory *self, void *to, const void *from, size_t count)
{
    if (count < NO_GIL_COPY) {
        memmove(to, from, count);
        return;
    }
    Py_BEGIN_ALLOW_THREADS
    memmove(to, from, count);
    Py_END_ALLOW_THREADS
}

/* The framework's order: a length, then (writing) not read-only, then the range. No sum is formed. */
static int check_copy(Memory *self, const Py_buffer *own, size_t offset, size_t count, bool writing)
{
    size_t size = (size_t)own->len;
    if (count == 0) {
        raise_status(STATUS_INVALID_PARAMETER, Py_BuildValue("{si}", "length", 0),
                     "at least 1 byte must be copied, got an empty buffer");
        return -1;
    }
    if (writing && own->readonly) {
        raise_status(STATUS_ACCESS_VIOLATION, NULL, "%R is read-only: copy_from cannot write to it", self);
        return -1;
    }
    if ((offset != 0 && offset >= size) || count > size - offset) {
        size_t available = offset >= size ? 0 : size - offset;
        PyObject *operands = Py_BuildValue("{snsnsn}", "offset", (Py_ssize_t)offset, "needed", (Py_ssize_t)count,
                                           "available", (Py_ssize_t)available);
        raise_status(writing ? STATUS_INVALID_BUFFER_SIZE : STATUS_BUFFER_TOO_SMALL, operands,
                     "%zu bytes at offset %zu of %R: only %zu are there; nothing was copied", count, offset, self,
                     available);
        return -1;
    }
    return 0;
}

/* The other side of a copy: to be read, or to be filled. */
static int get_other(PyObject *exporter, Py_buffer *other, bool reading)
{
    if (PyObject_GetBuffer(exporter, other, reading ? PyBUF_SIMPLE : PyBUF_WRITABLE) == 0) {
        return 0;
    }
    if (!reading && PyErr_ExceptionMatches(PyExc_BufferError)) {
        PyErr_Clear();
        raise_status(STATUS_ACCESS_VIOLATION, NULL, "the destination must be a writable contiguous buffer, got %.100s",
                     Py_TYPE(exporter)->tp_name);
    }
    return -1;
}

static PyObject *copy(Memory *self, PyObject **values, bool writing)
{
    size_t offset = 0;
    Py_buffer other, own;
    if (object_alive(&self->base, writing ? "copy into it" : "copy from it") < 0 ||
        (values[1] != NULL && convert_size(values[1], "offset", &offset) < 0) ||
        get_other(values[0], &other, writing) < 0) {
        return NULL;
    }
    /* Getting the buffer may have run code: only now look at ourselves, and pin while bytes move. */
    int result = object_alive(&self->base, writing ? "copy into it" : "copy from it");
    result = result < 0 ? result : memory_getbuffer(self, &own, PyBUF_SIMPLE);
    if (result == 0) {
        result = check_copy(self, &own, offset, (size_t)other.len, writing);
        if (result == 0) {
            char *mine = (char *)own.buf + offset;
            move_bytes(self, writing ? mine : other.buf, writing ? other.buf : mine, (size_t)other.len);
        }
        PyBuffer_Release(&own);
    }
    PyBuffer_Release(&other);
    return result < 0 ? NULL : Py_NewRef(Py_None);
}

/* bytes at an offset in pool memory, the usual case, needs neither export nor pin. */
static bool copy_bytes_quickly(Memory *self, PyObject *const *arguments, Py_ssize_t count, PyObject *keywords)
{
#ifdef Py_GIL_DISABLED
    return false; /* another thread may delete the memory while the bytes move */
#endif
    if (keywords != NULL || count < 1 || !PyBytes_CheckExact(arguments[0]) || self->block == NULL ||
        (state_load(&self->base) & (FROZEN | RELEASED | READ_ONLY)) != 0) {
        return false;
    }
    size_t offset = 0, length = (size_t)PyBytes_GET_SIZE(arguments[0]);
    if (count == 2 && !(PyLong_CheckExact(arguments[1]) && small_size(arguments[1], &offset))) {
        return false;
    }
    if (count > 2 || length == 0 || length >= NO_GIL_COPY || offset >= self->size || length > self->size - offset) {
        return false;
    }
    memcpy(self->buffer + offset, PyBytes_AS_STRING(arguments[0]), length);
    return true;
}

PyObject *memory_copy_from(Memory *self, PyObject *const *arguments, Py_ssize_t count, PyObject *keywords)
{
    PyObject *values[2];
    if (copy_bytes_quickly(self, arguments, count, keywords)) {
        Py_RETURN_NONE;
    }
    if (parse_arguments(&copy_from_signature, arguments, count, keywords, values) < 0) {
        return NULL;
    }
    return copy(self, values, true);
}

PyObject *memory_copy_to(Memory *self, PyObject *const *arguments, Py_ssize_t count, PyObject *keywords)
{
    PyObject *values[2];
    if (parse_arguments(&copy_to_signature, arguments, count, keywords, values) < 0) {
        return NULL;
    }
    return copy(self, values, false);
}
