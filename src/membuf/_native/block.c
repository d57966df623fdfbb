/* Blocks: local buffers straight from the pool, without a place in the tree. */
#include "native.h"

enum { ALLOCATE_SIZE, ALLOCATE_TAG, ALLOCATE_POOL, ALLOCATE_ALIGNMENT, ALLOCATE_ZERO };

static int plan(Domain *domain, PyObject *const *values, size_t *size, size_t *alignment, bool *zero, mb_tag **tag)
{
    mb_pool pool;
    if (convert_size(values[ALLOCATE_SIZE], "size", size) < 0) {
        return -1;
    }
    if (*size == 0) {
        raise_status(STATUS_INVALID_PARAMETER, Py_BuildValue("{si}", "size", 0), "size must be at least 1 byte, got 0");
        return -1;
    }
    if (convert_pool(values[ALLOCATE_POOL], &pool) < 0 || convert_alignment(values[ALLOCATE_ALIGNMENT], alignment) < 0 ||
        convert_flag(values[ALLOCATE_ZERO], "zero", zero) < 0) {
        return -1;
    }
    return domain_tag(domain, values[ALLOCATE_TAG], pool, tag);
}

PyObject *block_allocate(Domain *domain, PyObject *const *values)
{
    size_t size, alignment;
    bool zero;
    mb_tag *tag;
    mb_block *taken;
    if (plan(domain, values, &size, &alignment, &zero, &tag) < 0) {
        return NULL;
    }
    mb_result result = mb_allocate(tag, size, alignment, zero ? MB_ZERO : 0, &taken);
    if (result != MB_OK) {
        return raise_store(result, domain->store, size);
    }
    Block *self = PyObject_New(Block, &Block_Type);
    if (self == NULL) {
        mb_free(tag, taken, size);
        return NULL;
    }
    allow_try_newref((PyObject *)self);
    self->buffer = taken->data;
    self->size = size;
    self->state = 0;
    self->source = &tag->source;
    self->block = taken;
    self->tag = tag->value;
    self->pool = tag->pool;
    self->freed_site = 0;
    taken->site = domain->sites ? site_take() : 0;
    mb_block_hold(taken, self);
    return (PyObject *)self;
}

static void send_home(Block *self)
{
    uint64_t site = self->block->site;
    self->block->site = 0;
    mb_bring_home(self->source, self->block, self->size);
    site_drop(site); /* last: a code object's end may run Python code */
}

static void end_bytes(Block *self, bool stale)
{
    if (stale) {
        mb_domain_stale(self->source->tag->domain, -1);
    }
    send_home(self);
}

static void unpin(Block *self)
{
    uint64_t old = state_sub(self, PIN);
    if ((old & RELEASED) != 0 && (old & PINS_MASK) == PIN) {
        end_bytes(self, true);
    }
}

/* False: it was freed before. */
static bool release(Block *self)
{
    bool stale = false;
    if (!pin_state(&self->state, false)) {
        return false;
    }
    if ((state_or(self, DESTROYED | RELEASED) & RELEASED) != 0) { /* by another thread, just now */
        unpin(self);
        return false;
    }
    mb_settle(self->source, self->size);
    if (drop_releasing_pin(&self->state, self->source, &stale)) {
        end_bytes(self, stale);
    }
    return true;
}

static int block_getbuffer(Block *self, Py_buffer *view, int flags)
{
    view->obj = NULL;
    if (!pin_state(&self->state, false)) {
        PyErr_Format(PyExc_BufferError, "%R cannot be viewed any more", self);
        return -1;
    }
    if (PyBuffer_FillInfo(view, (PyObject *)self, self->buffer, (Py_ssize_t)self->size, 0, flags) < 0) {
        unpin(self);
        return -1;
    }
    return 0;
}

static void block_releasebuffer(Block *self, Py_buffer *view)
{
    unpin(self);
}

static PyObject *raise_freed(Block *self)
{
    PyObject *site = site_text(self->freed_site);
    if (site != NULL) {
        raise_bugcheck(STATUS_INVALID_PARAMETER, 0xC2, 7, (uint64_t)(uintptr_t)self->buffer, 0, 0,
                       "block at %p was freed before (at %S): free it once", self->buffer, site);
        Py_DECREF(site);
    }
    return NULL;
}

static int check_tag(Block *self, PyObject *tag)
{
    uint32_t given;
    if (tag == NULL || tag == Py_None) {
        return 0;
    }
    if (convert_tag(tag, &given) < 0) {
        return -1;
    }
    uint32_t own = self->tag;
    if (given != own) {
        PyObject *own_text = tag_text(own);
        raise_bugcheck(STATUS_INVALID_PARAMETER, 0xC2, 0x0A, (uint64_t)(uintptr_t)self->buffer, own, given,
                       "block at %p has the tag %R, it cannot be freed with %R; nothing was freed", self->buffer,
                       own_text, tag);
        Py_XDECREF(own_text);
        return -1;
    }
    return 0;
}

PyObject *block_free(Block *self, PyObject *tag)
{
    if ((state_load(self) & DESTROYED) != 0) {
        return raise_freed(self);
    }
    if (check_tag(self, tag) < 0) {
        return NULL;
    }
    uint64_t site = site_take();
    if (!release(self)) { /* the tag was an object that freed it */
        site_drop(site);
        return raise_freed(self);
    }
    self->freed_site = site;
    Py_RETURN_NONE;
}

static const char *const free_names[] = {"tag", NULL};
static PyObject *free_interned[1];
static Signature free_signature = {"free", free_names, free_interned, 1, 0};

static PyObject *free_method(Block *self, PyObject *const *arguments, Py_ssize_t count, PyObject *keywords)
{
    PyObject *values[1];
    if (parse_arguments(&free_signature, arguments, count, keywords, values) < 0) {
        return NULL;
    }
    return block_free(self, values[0]);
}

static PyObject *block_repr(Block *self)
{
    PyObject *tag = tag_text(self->tag);
    if (tag == NULL) {
        return NULL;
    }
    const char *what = (state_load(self) & DESTROYED) != 0 ? " freed" : "";
    PyObject *text = PyUnicode_FromFormat("<membuf.Block %zu bytes tag %R%s>", self->size, tag, what);
    Py_DECREF(tag);
    return text;
}

/* Dropped without free: freed here, and somebody should know. Freed first: whoever records the
 * warning keeps the block, and drops it a second time. */
static void block_finalize(PyObject *op)
{
    Block *self = (Block *)op;
    if ((state_load(self) & DESTROYED) != 0) {
        return;
    }
    PyObject *kind, *value, *traceback;
    PyErr_Fetch(&kind, &value, &traceback);
    mb_domain_dropped(self->source->tag->domain);
    PyObject *text = block_repr(self);
    release(self);
    if (text == NULL || PyErr_ResourceWarning(op, 1, "%U was dropped without free()", text) < 0) {
        PyErr_WriteUnraisable(op);
    }
    Py_XDECREF(text);
    PyErr_Restore(kind, value, traceback);
}

static void block_dealloc(Block *self)
{
    if (PyObject_CallFinalizerFromDealloc((PyObject *)self) < 0) {
        return;
    }
    site_drop(self->freed_site);
    PyObject_Free(self);
}

static PyObject *block_size(Block *self, void *closure)
{
    return PyLong_FromSize_t(self->size);
}

static PyObject *block_address(Block *self, void *closure)
{
    return PyLong_FromVoidPtr(self->buffer);
}

static PyObject *block_tag(Block *self, void *closure)
{
    return tag_text(self->tag);
}

static PyObject *block_pool(Block *self, void *closure)
{
    return pool_number(self->pool);
}

static PyObject *block_freed(Block *self, void *closure)
{
    return PyBool_FromLong((state_load(self) & DESTROYED) != 0);
}

static PyObject *block_site(Block *self, void *closure)
{
    if (!pin_state(&self->state, true)) {
        return Py_NewRef(Py_None);
    }
    PyObject *site = site_text(self->block->site);
    unpin(self);
    return site;
}

static Py_ssize_t block_length(Block *self)
{
    return (Py_ssize_t)self->size;
}

PyObject *block_describe(Block *self)
{
    if (!pin_state(&self->state, true)) {
        return raise_home((PyObject *)self);
    }
    PyObject *record = describe_block(self->source, self->block, self->size, (state_load(self) & DESTROYED) != 0);
    unpin(self);
    return record;
}

static PyBufferProcs block_buffer = {
    .bf_getbuffer = (getbufferproc)block_getbuffer,
    .bf_releasebuffer = (releasebufferproc)block_releasebuffer,
};
static PyMappingMethods block_mapping = {
    .mp_length = (lenfunc)block_length,
    .mp_subscript = exporter_item,
    .mp_ass_subscript = exporter_set_item,
};

static PyMethodDef block_methods[] = {
    {"free", FAST_KEYWORDS(free_method),
     "free($self, tag=None)\n--\n\n"
     "Give the block back; with a tag only if it is the block's own.\n\n"
     "Raises InvalidParameterError whose ``bugcheck`` is (0xC2, 0x0A, ...) for a wrong tag and (0xC2, 7,\n"
     "...) for a second free. Source: ExFreePool, ExFreePoolWithTag.\n\n"
     "    >>> import membuf\n"
     "    >>> block = membuf.pool.allocate(64, tag='Locl'); block.free(tag='Locl'); block.freed\n"
     "    True\n"},
    {NULL},
};

static PyGetSetDef block_properties[] = {
    {"size", (getter)block_size, NULL, "Bytes, exactly as asked for."},
    {"address", (getter)block_address, NULL, "Where the bytes are (were, once freed)."},
    {"tag", (getter)block_tag, NULL, "The tag in display order."},
    {"pool", (getter)block_pool, NULL, "The pool type's number."},
    {"freed", (getter)block_freed, NULL, "Whether the block was freed."},
    {"site", (getter)block_site, NULL, "Where it was allocated: 'file:line in function', or None."},
    {NULL},
};

PyDoc_STRVAR(block_doc,
"A local buffer: a block of tagged pool without a place in the ownership tree.\n\n"
"Made by ``membuf.pool.allocate``; a buffer with ``size``, ``address`` and indexing. Dropping one\n"
"without free() frees it with a ResourceWarning. Source: ExAllocatePool2.\n\n"
"Example:\n"
"    >>> import membuf\n"
"    >>> block = membuf.pool.allocate(16, tag='Locl', zero=True)\n"
"    >>> block[0:2] = b'ab'; bytes(block)[:3]\n"
"    b'ab\\x00'\n"
"    >>> block.free()\n");

PyTypeObject Block_Type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "membuf._native.Block",
    .tp_basicsize = sizeof(Block),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .tp_doc = block_doc,
    .tp_dealloc = (destructor)block_dealloc,
    .tp_finalize = block_finalize,
    .tp_repr = (reprfunc)block_repr,
    .tp_as_buffer = &block_buffer,
    .tp_as_mapping = &block_mapping,
    .tp_methods = block_methods,
    .tp_getset = block_properties,
};
