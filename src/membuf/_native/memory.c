/* Memory objects: bytes with an owner. */
#include "native.h"

#include <string.h>

/* ---- handles -------------------------------------------------------------------------------------- */

/* Handles are recycled apart from blocks: a deleted handle may outlive its block. The free-threaded
 * allocator is as fast without. */
#ifndef Py_GIL_DISABLED
#define HANDLES 512
static Memory *handles[HANDLES];
static int handle_count;
#endif

static void clear(Memory *self)
{
    memset((char *)self + sizeof(PyObject), 0, sizeof *self - sizeof(PyObject));
    self->base.state = INITIALIZED;
}

static Memory *make_handle(void)
{
    Memory *self = PyObject_GC_New(Memory, &Memory_Type);
    if (self != NULL) {
        clear(self);
#ifdef Py_GIL_DISABLED
        object_track(&self->base); /* untracked objects make its collector quadratic */
        allow_try_newref((PyObject *)self);
#endif
    }
    return self;
}

Memory *memory_new_handle(void)
{
#ifndef Py_GIL_DISABLED
    if (handle_count > 0) {
        Memory *self = handles[--handle_count];
        _Py_NewReference((PyObject *)self); /* its type is still written in it */
        clear(self);
        return self;
    }
#endif
    return make_handle();
}

static void free_handle(Memory *self)
{
#ifndef Py_GIL_DISABLED
    if (handle_count < HANDLES && (state_load(&self->base) & FINALIZED) == 0) {
        handles[handle_count++] = self;
        return;
    }
#endif
    PyObject_GC_Del(self);
}

/* ---- the bytes' end ---------------------------------------------------------------------------------- */

/* Nothing holds the block any more: it goes back where it came from. That it went is in the state
 * word; the pointers stay, and mean nothing without a pin. */
static void send_home(Memory *self)
{
    uint64_t site = self->block->site;
    self->block->site = 0;
    mb_bring_home(self->source, self->block, self->size);
    site_drop(site); /* last: a code object's end may run Python code */
}

static void end_bytes(Memory *self, bool stale)
{
    if (stale) {
        mb_domain_stale(self->source->tag->domain, -1);
    }
    send_home(self);
}

/* What destroy means: no new views, and the block goes home unless one is open. */
void memory_release(Memory *self)
{
    if (self->block == NULL) {
        state_or(&self->base, RELEASED);
        exported_swap(self, NULL);
        return;
    }
    bool stale = false;
    LookasideList *list = self->source->list == NULL ? NULL : self->source->list->owner;
    begin_release(&self->base.state);
    mb_settle(self->source, self->size);
    if (end_release(&self->base.state, self->source, &stale)) {
        end_bytes(self, stale);
    }
    if (list != NULL) {
        object_unhold((Object *)list); /* a deleted list is destroyed with its last memory */
    }
}

int memory_pin(Memory *self)
{
    if (pin_state(&self->base.state, false)) {
        return 0;
    }
    if ((state_load(&self->base) & RELEASED) != 0) {
        PyErr_Format(PyExc_BufferError, "%R was deleted: its bytes cannot be viewed any more", self);
    } else {
        PyErr_SetString(PyExc_BufferError, "too many views of one memory object");
    }
    return -1;
}

void memory_unpin(Memory *self)
{
    uint64_t old = state_sub(&self->base, PIN);
    if ((old & RELEASED) != 0 && (old & PINS_MASK) == PIN) {
        end_bytes(self, true);
    }
}

PyObject *memory_describe(Memory *self)
{
    if (self->block == NULL || !pin_state(&self->base.state, true)) {
        return raise_home((PyObject *)self);
    }
    bool deleted = (state_load(&self->base) & DESTROYED) != 0;
    PyObject *record = describe_block(self->source, self->block, self->size, deleted);
    memory_unpin(self);
    return record;
}

/* ---- buffer protocol ------------------------------------------------------------------------------------ */

int memory_getbuffer(Memory *self, Py_buffer *view, int flags)
{
    view->obj = NULL;
    if ((state_load(&self->base) & DESTROYED) != 0) { /* in a destroy callback the bytes are there still */
        PyErr_Format(PyExc_BufferError, "%R was deleted: its bytes cannot be viewed any more", self);
        return -1;
    }
    if (self->block == NULL) {
        int result;
        Py_BEGIN_CRITICAL_SECTION(self);
        result = exported_getbuffer(self, view, flags);
        Py_END_CRITICAL_SECTION();
        return result;
    }
    if (memory_pin(self) < 0) {
        return -1;
    }
    int read_only = (state_load(&self->base) & READ_ONLY) != 0;
    if (PyBuffer_FillInfo(view, (PyObject *)self, self->buffer, (Py_ssize_t)self->size, read_only, flags) < 0) {
        memory_unpin(self);
        return -1;
    }
    view->internal = NULL;
    return 0;
}

void memory_releasebuffer(Memory *self, Py_buffer *view)
{
    if (view->internal != NULL) {
        Py_BEGIN_CRITICAL_SECTION(self);
        exported_drop(view->internal);
        Py_END_CRITICAL_SECTION();
    } else {
        memory_unpin(self);
    }
}

static PyBufferProcs memory_buffer = {
    .bf_getbuffer = (getbufferproc)memory_getbuffer,
    .bf_releasebuffer = (releasebufferproc)memory_releasebuffer,
};

/* ---- making ------------------------------------------------------------------------------------------------ */

enum { NEW_SIZE, NEW_TAG, NEW_POOL, NEW_ALIGNMENT, NEW_ZERO, NEW_COMMON, NEW_COUNT = NEW_COMMON + COMMON_COUNT };
static const char *const new_names[] = {"size", "tag", "pool", "alignment", "zero", COMMON_NAMES, NULL};
static PyObject *new_interned[NEW_COUNT];
static Signature new_signature = {"Memory", new_names, new_interned, 1, 1};

typedef struct {
    Domain *domain;
    mb_tag *tag;
    size_t size, alignment;
    bool zero;
    Common common;
} Plan;

static int plan_size(PyObject *size, Plan *out)
{
    if (convert_size(size, "size", &out->size) < 0) {
        return -1;
    }
    if (out->size == 0) {
        raise_status(STATUS_INVALID_PARAMETER, Py_BuildValue("{si}", "size", 0), "size must be at least 1 byte, got 0");
        return -1;
    }
    return 0;
}

static int plan_place(PyObject *tag, mb_pool pool, Plan *out)
{
    out->domain = domain_current();
    if (out->domain == NULL || domain_tag(out->domain, tag, pool, &out->tag) < 0) {
        Py_XDECREF(out->domain);
        return -1;
    }
    return 0;
}

/* Every check of a create, in the framework's order: the parent's handle, the size, the rest. */
static int plan(PyObject **values, Plan *out)
{
    mb_pool pool;
    if (convert_common(values + NEW_COMMON, &out->common) < 0 || plan_size(values[NEW_SIZE], out) < 0 ||
        convert_pool(values[NEW_POOL], &pool) < 0 || convert_alignment(values[NEW_ALIGNMENT], &out->alignment) < 0 ||
        convert_flag(values[NEW_ZERO], "zero", &out->zero) < 0) {
        return -1;
    }
    return plan_place(values[NEW_TAG], pool, out);
}

/* A size and nothing else: what is not there need not be looked at. */
static int plan_plain(PyObject *size, Plan *out)
{
    *out = (Plan){.alignment = MB_NATURAL_ALIGNMENT};
    return plan_size(size, out) < 0 ? -1 : plan_place(NULL, MB_NONPAGED, out);
}

PyObject *memory_finish(Memory *self, const Common *common)
{
    if ((common->name != NULL || common->cleanup != NULL || common->destroy != NULL || common->parent != NULL) &&
        object_setup(&self->base, common) < 0) {
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

static PyObject *create(const Plan *made)
{
    mb_block *block;
    mb_result result = mb_allocate(made->tag, made->size, made->alignment, made->zero ? MB_ZERO : 0, &block);
    if (result != MB_OK) {
        raise_store(result, made->domain->store, made->size);
        Py_DECREF(made->domain);
        return NULL;
    }
    Memory *self = memory_new_handle();
    if (self == NULL) {
        mb_free(made->tag, block, made->size);
        Py_DECREF(made->domain);
        return NULL;
    }
    self->buffer = block->data;
    self->size = made->size;
    self->source = &made->tag->source;
    self->block = block;
    block->site = made->domain->sites ? site_take() : 0;
    mb_block_hold(block, self);
    Py_DECREF(made->domain);
    return memory_finish(self, &made->common);
}

static PyObject *memory_vectorcall(PyObject *type, PyObject *const *arguments, size_t count, PyObject *keywords)
{
    PyObject *values[NEW_COUNT];
    Plan made;
    if (PyVectorcall_NARGS(count) == 1 && keywords == NULL) {
        return plan_plain(arguments[0], &made) < 0 ? NULL : create(&made);
    }
    if (parse_arguments(&new_signature, arguments, PyVectorcall_NARGS(count), keywords, values) < 0 ||
        plan(values, &made) < 0) {
        return NULL;
    }
    return create(&made);
}

static PyObject *memory_new(PyTypeObject *type, PyObject *arguments, PyObject *keywords)
{
    PyObject *values[NEW_COUNT];
    Plan made;
    if (parse_new_arguments(&new_signature, arguments, keywords, values) < 0 || plan(values, &made) < 0) {
        return NULL;
    }
    return create(&made);
}

/* Memory.__new__ did all of it. */
static int memory_init(PyObject *self, PyObject *arguments, PyObject *keywords)
{
    return 0;
}

/* ---- delete ---- */

/* As Object.delete; the usual memory object, with nothing to call and nothing below, takes no walk. */
static PyObject *memory_delete(Memory *self, PyObject *unused)
{
    if (self->block == NULL || !tree_leave(&self->base, DELETE_CALLED | DISPOSING | DISPOSED | DROPPED | DESTROYED)) {
        return object_delete(&self->base, unused);
    }
    self->base.deleted_site = self->block->site == 0 ? 0 : site_take();
    memory_release(self);
    Py_RETURN_NONE;
}

/* ---- being a sequence, pickling ---------------------------------------------------------------------------- */

static Py_ssize_t memory_length(Memory *self)
{
    return object_alive(&self->base, "read its size") < 0 ? -1 : (Py_ssize_t)self->size;
}

/* An object with a length would be false when empty; a handle is a handle. */
static int memory_bool(PyObject *self)
{
    return 1;
}

/* Pickling lives in Python: it is wide and not hot. */
static PyObject *memory_reduce(PyObject *self, PyObject *protocol)
{
    PyObject *reduce = from_module("membuf.memory.pickling", "reduce");
    if (reduce == NULL) {
        return NULL;
    }
    PyObject *result = PyObject_CallFunctionObjArgs(reduce, self, protocol, NULL);
    Py_DECREF(reduce);
    return result;
}

/* ---- the type -------------------------------------------------------------------------------------------------------- */

static int memory_traverse(Memory *self, visitproc visit, void *arg)
{
    if (self->block == NULL && self->exported != NULL) {
        Py_VISIT(self->exported->view.obj);
    }
    return object_traverse(&self->base, visit, arg);
}

static int memory_clear(Memory *self)
{
    object_clear(&self->base);
    return 0;
}

/* The usual end: no callback, nothing below, no buffer of somebody else's; so nothing is walked. */
static bool dealloc_plainly(Memory *self)
{
    Object *base = &self->base;
    bool destroyed = (state_load(base) & DESTROYED) != 0;
    if (base->extras != NULL || (!destroyed && (base->child != NULL || self->block == NULL))) {
        return false;
    }
    if (!destroyed) {
        state_or(base, DELETE_CALLED | DISPOSED | DROPPED | DESTROYED);
        memory_release(self);
    }
    object_untrack(base);
    site_drop(base->deleted_site);
    free_handle(self);
    return true;
}

static void memory_dealloc(Memory *self)
{
    if (dealloc_plainly(self)) {
        return;
    }
    object_untrack(&self->base);
    Py_TRASHCAN_BEGIN(self, memory_dealloc)
    if (object_dealloc_begin(&self->base)) {
        free_handle(self);
    }
    Py_TRASHCAN_END
}

PyDoc_STRVAR(memory_doc,
"Memory(size, *, tag=None, parent=None, pool=512, alignment=None, zero=False, name=None,\n"
"       on_cleanup=None, on_destroy=None)\n--\n\n"
"A memory object: ``size`` bytes with a tag and an owner, taken from the current domain's pool.\n\n"
"The bytes are 16-byte aligned, page-aligned from a page up, and lie inside one page below it. They\n"
"are not zeroed unless asked for. A view (memoryview, numpy array) keeps the bytes valid, never the\n"
"object alive: after delete() the block is set aside until the last view is released.\n\n"
"Args:\n"
"    size: bytes, 1 or more.\n"
"    tag: 1 to 4 characters, or their number; the domain's default if absent.\n"
"    parent: the owner; without one the object lives as long as Python references to it.\n"
"    pool: ``membuf.NONPAGED`` (locked into memory where allowed) or ``membuf.PAGED``.\n"
"    alignment: a power of two, bytes.\n"
"    zero: clear the bytes.\n\n"
"Raises:\n"
"    InvalidParameterError: a size of 0 or below, an alignment that is no power of two, a bad tag.\n"
"    InsufficientResourcesError: the domain's limit, or the system's.\n"
"    DeletePendingError: the deletion of the parent has begun.\n\n"
"Source: WdfMemoryCreate.\n\n"
"Example:\n"
"    >>> import membuf\n"
"    >>> m = membuf.Memory(4096, tag='Capt')\n"
"    >>> m.copy_from(b'hello', offset=8)\n"
"    >>> bytes(m.buffer[8:13]), m.address % 4096\n"
"    (b'hello', 0)\n"
"    >>> m.delete()\n");

static PyMethodDef memory_methods[] = {
    {"preallocated", FAST_KEYWORDS(memory_preallocated) | METH_CLASS,
     "preallocated($type, buffer, *, tag=None, name=None, parent=None, on_cleanup=None, on_destroy=None)\n--\n\n"
     "A memory object over the caller's buffer, which stays the caller's and is never freed here.\n\n"
     "Any exporter of contiguous bytes; a read-only one makes a read-only memory object. Source:\n"
     "WdfMemoryCreatePreallocated.\n\n"
     "    >>> import membuf\n"
     "    >>> b = bytearray(8)\n"
     "    >>> membuf.Memory.preallocated(b).copy_from(b'abc'); b[:3]\n"
     "    bytearray(b'abc')\n"},
    {"delete", (PyCFunction)memory_delete, METH_NOARGS,
     "delete($self, /)\n--\n\n"
     "Delete the memory object; its bytes go back to their pool or list when the last view is released.\n\n"
     "Otherwise as ``Object.delete``. Source: WdfObjectDelete.\n\n"
     "    >>> import membuf\n"
     "    >>> m = membuf.Memory(16); view = m.buffer; m.delete(); len(view)\n"
     "    16\n"},
    {"assign_buffer", (PyCFunction)memory_assign_buffer, METH_O,
     "assign_buffer($self, buffer, /)\n--\n\n"
     "Point preallocated memory at another buffer; the old one is left as it is, and its views with it.\n\n"
     "Source: WdfMemoryAssignBuffer.\n\n"
     "    >>> import membuf\n"
     "    >>> m = membuf.Memory.preallocated(bytearray(8)); m.assign_buffer(bytearray(64)); m.size\n"
     "    64\n"},
    {"copy_from", FAST_KEYWORDS(memory_copy_from),
     "copy_from($self, source, offset=0)\n--\n\n"
     "Copy the whole source to ``offset`` bytes into the memory; all of it or, with an error, nothing.\n\n"
     "Raises INVALID_PARAMETER (empty source), ACCESS_VIOLATION (read-only memory), INVALID_BUFFER_SIZE\n"
     "(does not fit), in this order. Source: WdfMemoryCopyFromBuffer.\n\n"
     "    >>> import membuf\n"
     "    >>> membuf.Memory(4).copy_from(b'12345')\n"
     "    Traceback (most recent call last):\n"
     "    membuf.InvalidBufferSizeError: ...\n"},
    {"copy_to", FAST_KEYWORDS(memory_copy_to),
     "copy_to($self, destination, offset=0)\n--\n\n"
     "Fill the whole destination from ``offset`` bytes into the memory; all of it or nothing.\n\n"
     "Raises INVALID_PARAMETER (empty destination), BUFFER_TOO_SMALL (not so many bytes after offset).\n"
     "Source: WdfMemoryCopyToBuffer.\n\n"
     "    >>> import membuf\n"
     "    >>> m, out = membuf.Memory(4, zero=True), bytearray(b'xx')\n"
     "    >>> m.copy_to(out, offset=2); out\n"
     "    bytearray(b'\\x00\\x00')\n"},
    {"__dlpack__", FAST_KEYWORDS(memory_dlpack),
     "__dlpack__($self, *, stream=None, max_version=None, dl_device=None, copy=None)\n--\n\n"
     "A DLPack capsule over the bytes (one dimension, uint8, CPU). The view rule holds for it too.\n\n"
     "    >>> import membuf, numpy\n"
     "    >>> int(numpy.from_dlpack(membuf.Memory(8, zero=True)).sum())\n"
     "    0\n"},
    {"__dlpack_device__", memory_dlpack_device, METH_NOARGS,
     "__dlpack_device__($self, /)\n--\n\nThe CPU: (1, 0)."},
    {"__reduce_ex__", memory_reduce, METH_O, "__reduce_ex__($self, protocol, /)\n--\n\nPickle; out of band from protocol 5."},
    {NULL},
};

static PySequenceMethods memory_sequence = {.sq_length = (lenfunc)memory_length};
static PyNumberMethods memory_number = {.nb_bool = memory_bool};

PyTypeObject Memory_Type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "membuf._native.Memory",
    .tp_basicsize = sizeof(Memory),
    .tp_base = &Object_Type,
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .tp_doc = memory_doc,
    .tp_new = memory_new,
    .tp_init = memory_init,
    .tp_vectorcall = memory_vectorcall,
    .tp_dealloc = (destructor)memory_dealloc,
    .tp_finalize = object_finalize,
    .tp_traverse = (traverseproc)memory_traverse,
    .tp_clear = (inquiry)memory_clear,
    .tp_repr = (reprfunc)memory_repr,
    .tp_as_buffer = &memory_buffer,
    .tp_as_sequence = &memory_sequence,
    .tp_as_number = &memory_number,
    .tp_methods = memory_methods,
    .tp_getset = memory_properties,
};
