/* What other native modules call; see membuf_native.h. */
#include "native.h"

#include "membuf_native.h"

static int api_hold(PyObject *op, int writable, membuf_hold *out)
{
    if (!Py_IS_TYPE(op, &Memory_Type)) {
        PyErr_Format(PyExc_TypeError, "a memory object is needed, got %.100s", Py_TYPE(op)->tp_name);
        return -1;
    }
    Memory *self = (Memory *)op;
    Py_buffer view;
    if (object_alive(&self->base, "use it for I/O") < 0) {
        return -1;
    }
    if (memory_getbuffer(self, &view, PyBUF_SIMPLE) < 0) {
        return -1;
    }
    if (writable && view.readonly) {
        PyBuffer_Release(&view);
        raise_status(STATUS_ACCESS_VIOLATION, NULL, "%R is read-only: nothing can be read into it", self);
        return -1;
    }
    if (object_hold(&self->base) < 0) {
        PyBuffer_Release(&view);
        return -1;
    }
    *out = (membuf_hold){.memory = op, .address = view.buf, .size = view.len, .internal = view.internal};
    Py_DECREF(op); /* the view's reference: the framework reference holds one */
    return 0;
}

static void api_unhold(membuf_hold *hold)
{
    Memory *self = (Memory *)hold->memory;
    Py_buffer view = {.internal = hold->internal};
    Py_INCREF(self);
    object_unhold(&self->base);
    memory_releasebuffer(self, &view);
    Py_DECREF(self);
    hold->memory = NULL;
}

static int api_region_hold(const membuf_hold *hold, void **domain, void **base, size_t *size)
{
    Memory *self = (Memory *)hold->memory;
    if (self->block == NULL) {
        return 0;
    }
    mb_domain *store = self->source->tag->domain;
    if (!mb_region_hold(store, self->buffer, base, size)) {
        return 0;
    }
    mb_domain_keep(store);
    *domain = store;
    return 1;
}

static void api_region_unhold(void *domain, void *base)
{
    mb_region_unhold(domain, base);
    mb_domain_unkeep(domain);
}

_Static_assert(sizeof(membuf_object) == sizeof(Object), "what other modules derive from is an object");

static int api_object_begin(PyObject *op)
{
    Object *self = (Object *)op;
    if ((state_or(self, INITIALIZED | UNDELETABLE) & INITIALIZED) != 0) {
        PyErr_SetString(PyExc_TypeError, "an object is initialized once: its parent and callbacks are fixed");
        return -1;
    }
    return 0;
}

static int api_object_end(PyObject *op)
{
    state_and((Object *)op, ~UNDELETABLE);
    PyObject *done = object_delete((Object *)op, NULL);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

static int api_object_frozen(PyObject *op)
{
    return (state_load((Object *)op) & FROZEN) != 0;
}

static PyObject *api_request_memory(PyObject *buffer, PyObject *size, int read_only, PyObject *request)
{
    PyObject *memory = exported_for_request(buffer, size, read_only, (Object *)request);
    if (memory != NULL) {
        state_or((Object *)memory, UNDELETABLE);
    }
    return memory;
}

static Py_ssize_t api_references(PyObject *op)
{
    uint64_t state = state_load((Object *)op);
    if ((state & (DESTROYING | DESTROYED)) != 0) {
        return 0;
    }
    Py_ssize_t count = (Py_ssize_t)((state & REFERENCES_MASK) / REFERENCE);
    return count + ((state & DROPPED) == 0) - ((state & FROZEN) == 0);
}

static const membuf_api api = {
    .version = MEMBUF_API_VERSION,
    .memory_type = &Memory_Type,
    .hold = api_hold,
    .unhold = api_unhold,
    .region_hold = api_region_hold,
    .region_unhold = api_region_unhold,
    .object_begin = api_object_begin,
    .object_end = api_object_end,
    .object_frozen = api_object_frozen,
    .request_memory = api_request_memory,
    .references = api_references,
};

int module_add_api(PyObject *module)
{
    PyObject *capsule = PyCapsule_New((void *)&api, MEMBUF_API_NAME, NULL);
    if (capsule == NULL) {
        return -1;
    }
    int result = PyModule_AddObjectRef(module, "_C_API", capsule);
    Py_DECREF(capsule);
    return result;
}
