/* Preallocated memory and the memory of requests: memory objects over somebody else's buffer. The
 * buffer is held through its exporter until the memory object has let go of it and the last view of
 * it is released. */
#include "native.h"

void exported_drop(Exported *exported)
{
    if (--exported->users == 0) {
        PyBuffer_Release(&exported->view);
        PyMem_Free(exported);
    }
}

static bool of_request(Memory *self)
{
    bool result;
    Py_BEGIN_CRITICAL_SECTION(self);
    result = self->exported != NULL && self->exported->of_request;
    Py_END_CRITICAL_SECTION();
    return result;
}

const char *exported_source(Memory *self)
{
    return of_request(self) ? "request" : "preallocated";
}

/* A part of its request, and no object of its own that could be deleted alone. */
bool exported_is_embedded(Memory *self)
{
    return self->block == NULL && self->exported != NULL && self->exported->of_request &&
           (state_load(&self->base) & UNDELETABLE) != 0;
}

uint32_t exported_tag(Memory *self)
{
    uint32_t tag;
    Py_BEGIN_CRITICAL_SECTION(self);
    tag = self->exported == NULL ? 0 : self->exported->tag;
    Py_END_CRITICAL_SECTION();
    return tag;
}

/* Another buffer in the old one's place; views of the old one keep it. */
void exported_swap(Memory *self, Exported *exported)
{
    Py_BEGIN_CRITICAL_SECTION(self);
    Exported *old = self->exported;
    self->exported = exported;
    if (exported != NULL) {
        self->buffer = exported->view.buf;
        self->size = exported->size;
    }
    if (exported != NULL && exported->read_only) {
        state_or(&self->base, READ_ONLY);
    } else {
        state_and(&self->base, ~READ_ONLY);
    }
    if (old != NULL) {
        exported_drop(old);
    }
    Py_END_CRITICAL_SECTION();
}

int exported_getbuffer(Memory *self, Py_buffer *view, int flags)
{
    Exported *exported = self->exported;
    if (exported == NULL) {
        PyErr_Format(PyExc_BufferError, "%R was deleted: its bytes cannot be viewed any more", self);
        return -1;
    }
    if (PyBuffer_FillInfo(view, (PyObject *)self, exported->view.buf, (Py_ssize_t)self->size,
                          exported->read_only, flags) < 0) {
        return -1;
    }
    exported->users++; /* assign_buffer must not take the bytes from under this view */
    view->internal = exported;
    return 0;
}

static Exported *export_of(PyObject *buffer)
{
    Exported *exported = PyMem_Calloc(1, sizeof *exported);
    if (exported == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    if (PyObject_GetBuffer(buffer, &exported->view, PyBUF_WRITABLE) < 0) {
        PyErr_Clear(); /* a read-only exporter makes a read-only memory object */
        if (PyObject_GetBuffer(buffer, &exported->view, PyBUF_SIMPLE) < 0) {
            PyMem_Free(exported);
            return NULL;
        }
    }
    exported->users = 1;
    exported->size = (size_t)exported->view.len;
    exported->read_only = exported->view.readonly != 0;
    if (exported->view.len == 0) {
        exported_drop(exported);
        raise_status(STATUS_INVALID_PARAMETER, Py_BuildValue("{si}", "size", 0),
                     "the buffer must hold at least 1 byte, got an empty %.100s", Py_TYPE(buffer)->tp_name);
        return NULL;
    }
    return exported;
}

static const char *const preallocated_names[] = {"buffer", "tag", COMMON_NAMES, NULL};
static PyObject *preallocated_interned[2 + COMMON_COUNT];
static Signature preallocated_signature = {"preallocated", preallocated_names, preallocated_interned, 1, 1};

PyObject *memory_preallocated(PyObject *type, PyObject *const *arguments, Py_ssize_t count,
                                     PyObject *keywords)
{
    PyObject *values[2 + COMMON_COUNT];
    Common common;
    uint32_t tag = 0;
    if (parse_arguments(&preallocated_signature, arguments, count, keywords, values) < 0) {
        return NULL;
    }
    if (convert_common(values + 2, &common) < 0 ||
        (values[1] != NULL && values[1] != Py_None && convert_tag(values[1], &tag) < 0)) {
        return NULL;
    }
    Exported *exported = export_of(values[0]);
    if (exported == NULL) {
        return NULL;
    }
    exported->tag = tag;
    Memory *self = memory_new_handle();
    if (self == NULL) {
        exported_drop(exported);
        return NULL;
    }
    exported_swap(self, exported);
    object_track(&self->base); /* the exporter may refer back */
    return memory_finish(self, &common);
}

PyObject *memory_assign_buffer(Memory *self, PyObject *buffer)
{
    if (object_alive(&self->base, "assign a buffer") < 0) {
        return NULL;
    }
    if (self->block != NULL || of_request(self)) {
        return raise_bugcheck(STATUS_INVALID_DEVICE_REQUEST, 0x10D, 5, (uint64_t)(uintptr_t)self, 0, 0,
                              "%R has its buffer for life: only preallocated memory takes another", self);
    }
    Exported *exported = export_of(buffer);
    if (exported == NULL) {
        return NULL;
    }
    if (object_alive(&self->base, "assign a buffer") < 0) { /* the exporter's own code may have ended it */
        exported_drop(exported);
        return NULL;
    }
    exported->tag = exported_tag(self);
    exported_swap(self, exported);
    Py_RETURN_NONE;
}

/* ---- the memory of requests ------------------------------------------------------------------------- */

static int shorten(Exported *exported, PyObject *size)
{
    size_t wanted;
    if (convert_size(size, "size", &wanted) < 0) {
        return -1;
    }
    if (wanted == 0 || wanted > exported->size) {
        raise_status(STATUS_BUFFER_TOO_SMALL, Py_BuildValue("{snsn}", "needed", (Py_ssize_t)wanted, "available",
                                                            (Py_ssize_t)exported->size),
                     "the memory of a request has 1 byte or more of its %zu-byte buffer, got %zu", exported->size,
                     wanted);
        return -1;
    }
    exported->size = wanted;
    return 0;
}

static Exported *export_for_request(PyObject *buffer, PyObject *size, int read_only)
{
    Exported *exported = export_of(buffer);
    if (exported == NULL) {
        return NULL;
    }
    if (shorten(exported, size) < 0) {
        exported_drop(exported);
        return NULL;
    }
    exported->read_only |= read_only != 0;
    exported->of_request = true;
    return exported;
}

PyObject *exported_for_request(PyObject *buffer, PyObject *size, int read_only, Object *request)
{
    Common common = {.parent = request};
    Exported *exported = export_for_request(buffer, size, read_only);
    if (exported == NULL) {
        return NULL;
    }
    Memory *self = memory_new_handle();
    if (self == NULL) {
        exported_drop(exported);
        return NULL;
    }
    exported_swap(self, exported);
    object_track(&self->base);
    return memory_finish(self, &common);
}

PyObject *memory_of_request(PyObject *module, PyObject *const *arguments, Py_ssize_t count)
{
    Object *request;
    if (count != 4) {
        PyErr_Format(PyExc_TypeError, "request_memory takes a buffer, a size, a flag and a parent, got %zd", count);
        return NULL;
    }
    int read_only = PyObject_IsTrue(arguments[2]);
    if (read_only < 0 || convert_object(arguments[3], "parent", &request) < 0) {
        return NULL;
    }
    return exported_for_request(arguments[0], arguments[1], read_only, request);
}
