/* What a memory object says of itself: its properties, and its repr. */
#include "native.h"

static PyObject *memory_size(Memory *self, void *closure)
{
    return object_alive(&self->base, "read its size") < 0 ? NULL : PyLong_FromSize_t(self->size);
}

static PyObject *memory_address(Memory *self, void *closure)
{
    return object_alive(&self->base, "read its address") < 0 ? NULL : PyLong_FromVoidPtr(self->buffer);
}

static PyObject *memory_readonly(Memory *self, void *closure)
{
    if (object_alive(&self->base, "read its access") < 0) {
        return NULL;
    }
    return PyBool_FromLong((state_load(&self->base) & READ_ONLY) != 0);
}

/* What is read through the block is read with a pin: another thread may delete the object. */
static PyObject *read_pinned(Memory *self, const char *what, PyObject *(*read)(Memory *self))
{
    if (object_alive(&self->base, what) < 0) {
        return NULL;
    }
    if (!pin_state(&self->base.state, false)) {
        return raise_deleted((PyObject *)self, what);
    }
    PyObject *result = read(self);
    memory_unpin(self);
    return result;
}

static PyObject *read_tag(Memory *self)
{
    return tag_text(self->source->tag->value);
}

static PyObject *memory_tag(Memory *self, void *closure)
{
    if (self->block != NULL) {
        return read_pinned(self, "read its tag", read_tag);
    }
    if (object_alive(&self->base, "read its tag") < 0) {
        return NULL;
    }
    uint32_t tag = exported_tag(self);
    return tag == 0 ? Py_NewRef(Py_None) : tag_text(tag);
}

static PyObject *none_if_preallocated(Memory *self, const char *what, PyObject *(*read)(Memory *self))
{
    if (self->block != NULL) {
        return read_pinned(self, what, read);
    }
    return object_alive(&self->base, what) < 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *read_pool(Memory *self)
{
    return pool_number(self->source->tag->pool);
}

static PyObject *memory_pool(Memory *self, void *closure)
{
    return none_if_preallocated(self, "read its pool", read_pool);
}

static PyObject *read_site(Memory *self)
{
    return site_text(self->block->site);
}

static PyObject *memory_site(Memory *self, void *closure)
{
    return none_if_preallocated(self, "read its allocation site", read_site);
}

static PyObject *read_source(Memory *self)
{
    return PyUnicode_InternFromString(self->source->list == NULL ? "pool" : "lookaside");
}

static PyObject *memory_source(Memory *self, void *closure)
{
    if (self->block != NULL) {
        return read_pinned(self, "read its source", read_source);
    }
    return object_alive(&self->base, "read its source") < 0 ? NULL : PyUnicode_InternFromString(exported_source(self));
}

static PyObject *memory_view(Memory *self, void *closure)
{
    return object_alive(&self->base, "view it") < 0 ? NULL : PyMemoryView_FromObject((PyObject *)self);
}

/* ---- repr ------------------------------------------------------------------------------------------- */

static PyObject *owner_text(Memory *self)
{
    PyObject *parent = tree_parent(&self->base);
    PyObject *text = parent == Py_None ? PyUnicode_FromString("") : PyUnicode_FromFormat(" owned by %R", parent);
    Py_DECREF(parent);
    return text;
}

static PyObject *tag_or_kind(Memory *self)
{
    if (self->block == NULL) {
        return PyUnicode_FromString(exported_source(self));
    }
    if (!pin_state(&self->base.state, false)) {
        return PyUnicode_FromString("released");
    }
    PyObject *tag = read_tag(self);
    memory_unpin(self);
    PyObject *text = tag == NULL ? NULL : PyUnicode_FromFormat("tag %R", tag);
    Py_XDECREF(tag);
    return text;
}

PyObject *memory_repr(Memory *self)
{
    uint64_t state = state_load(&self->base);
    PyObject *name = self->base.extras == NULL ? NULL : self->base.extras->name;
    if ((state & DESTROYED) != 0) {
        return name == NULL ? PyUnicode_FromFormat("<membuf.Memory %zu bytes deleted>", self->size)
                            : PyUnicode_FromFormat("<membuf.Memory %R %zu bytes deleted>", name, self->size);
    }
    PyObject *kind = tag_or_kind(self);
    PyObject *owner = kind == NULL || Py_EnterRecursiveCall(" in a repr") != 0 ? NULL : owner_text(self);
    PyObject *text = NULL;
    if (owner != NULL) {
        Py_LeaveRecursiveCall();
    }
    if (kind != NULL && owner != NULL) {
        const char *what = (state & FROZEN) != 0 ? " being deleted" : "";
        text = name == NULL ? PyUnicode_FromFormat("<membuf.Memory %zu bytes %U%U%s>", self->size, kind, owner, what)
                            : PyUnicode_FromFormat("<membuf.Memory %R %zu bytes %U%U%s>", name, self->size, kind,
                                                   owner, what);
    }
    Py_XDECREF(kind);
    Py_XDECREF(owner);
    return text;
}

/* ---- the table ---------------------------------------------------------------------------------------- */

PyGetSetDef memory_properties[] = {
    {"size", (getter)memory_size, NULL, "Bytes, exactly as asked for."},
    {"address", (getter)memory_address, NULL, "Where the bytes are."},
    {"readonly", (getter)memory_readonly, NULL, "Whether copy_from and writable views are refused."},
    {"tag", (getter)memory_tag, NULL, "The tag in display order; None for preallocated memory without one."},
    {"pool", (getter)memory_pool, NULL, "The pool type's number; None for preallocated memory."},
    {"source", (getter)memory_source, NULL, "'pool', 'lookaside', 'preallocated' or 'request'."},
    {"site", (getter)memory_site, NULL, "Where it was allocated: 'file:line in function', or None."},
    {"buffer", (getter)memory_view, NULL, "A memoryview of the bytes."},
    {NULL},
};
