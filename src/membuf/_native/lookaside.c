/* Lookaside lists: memory objects of one size, recycled. */
#include "native.h"

#include <stddef.h>

/* ---- the parent of a list's memories ------------------------------------------------------------------ */

/* The link is weak: the list must not keep that object alive, and must know when it is gone. One lock
 * guards all of these links, since either end may go first. */
#ifdef Py_GIL_DISABLED
static PyMutex links;
#define lock_links() PyMutex_Lock(&links)
#define unlock_links() PyMutex_Unlock(&links)
#else
#define lock_links() ((void)0)
#define unlock_links() ((void)0)
#endif

static int remember_parent(LookasideList *self, Object *parent)
{
    if (parent == NULL) {
        return 0;
    }
    Extras *extras = extras_get(parent);
    if (extras == NULL) {
        return -1;
    }
    lock_links();
    self->memory_parent = parent;
    self->has_memory_parent = true;
    self->next_of_parent = extras->lists;
    extras->lists = self;
    unlock_links();
    return 0;
}

static void forget_parent(LookasideList *self)
{
    lock_links();
    if (self->memory_parent != NULL) {
        LookasideList **link = &self->memory_parent->extras->lists;
        while (*link != self) {
            link = &(*link)->next_of_parent;
        }
        *link = self->next_of_parent;
        self->memory_parent = NULL;
        self->next_of_parent = NULL;
    }
    unlock_links();
}

void lists_forget_parent(Extras *parent)
{
    lock_links();
    while (parent->lists != NULL) {
        LookasideList *list = parent->lists;
        parent->lists = list->next_of_parent;
        list->memory_parent = NULL;
        list->next_of_parent = NULL;
    }
    unlock_links();
}

/* Whom the list's memories go to, a new reference; gone counts as being deleted. */
static Object *own_parent(LookasideList *self)
{
    lock_links();
    PyObject *parent = self->memory_parent == NULL ? NULL : try_newref((PyObject *)self->memory_parent);
    unlock_links();
    if (parent == NULL) {
        raise_status(STATUS_DELETE_PENDING, NULL, "the object that was to own the memories of %R is gone", self);
    }
    return (Object *)parent;
}

/* ---- making -------------------------------------------------------------------------------------------- */

enum {
    NEW_SIZE, NEW_TAG, NEW_POOL, NEW_MEMORY_PARENT, NEW_ZERO, NEW_ZERO_ON_FREE, NEW_MAXIMUM_DEPTH, NEW_ALIGNMENT,
    NEW_COMMON, NEW_COUNT = NEW_COMMON + COMMON_COUNT
};
static const char *const new_names[] = {"size", "tag", "pool", "memory_parent", "zero", "zero_on_free",
                                        "maximum_depth", "alignment", COMMON_NAMES, NULL};
static PyObject *new_interned[NEW_COUNT];
static Signature new_signature = {"LookasideList", new_names, new_interned, 1, 1};

typedef struct {
    size_t size, alignment, maximum_depth;
    bool zero, zero_on_free;
    mb_pool pool;
    Object *memory_parent;
    Common common;
    Domain *domain; /* a new reference */
    mb_tag *tag;
} Plan;

static int plan_size(PyObject **values, Plan *out)
{
    if (convert_size(values[NEW_SIZE], "size", &out->size) < 0) {
        return -1;
    }
    if (out->size == 0 || out->size > MB_LIST_LARGEST_SIZE) {
        raise_status(STATUS_INVALID_PARAMETER, Py_BuildValue("{sO}", "size", values[NEW_SIZE]),
                     "size must be 1 to %zu bytes, got %R", MB_LIST_LARGEST_SIZE, values[NEW_SIZE]);
        return -1;
    }
    out->maximum_depth = 256;
    if (values[NEW_MAXIMUM_DEPTH] != NULL &&
        convert_size(values[NEW_MAXIMUM_DEPTH], "maximum_depth", &out->maximum_depth) < 0) {
        return -1;
    }
    if (out->maximum_depth < 1 || out->maximum_depth > INT32_MAX) {
        raise_status(STATUS_INVALID_PARAMETER, Py_BuildValue("{sO}", "maximum_depth", values[NEW_MAXIMUM_DEPTH]),
                     "maximum_depth must be 1 to %d blocks, got %R", INT32_MAX, values[NEW_MAXIMUM_DEPTH]);
        return -1;
    }
    return 0;
}

static int plan(PyObject **values, Plan *out)
{
    out->memory_parent = NULL;
    if (convert_common(values + NEW_COMMON, &out->common) < 0 ||
        (values[NEW_MEMORY_PARENT] != NULL &&
         convert_object(values[NEW_MEMORY_PARENT], "memory_parent", &out->memory_parent) < 0) ||
        plan_size(values, out) < 0 || convert_pool(values[NEW_POOL], &out->pool) < 0 ||
        convert_alignment(values[NEW_ALIGNMENT], &out->alignment) < 0 ||
        convert_flag(values[NEW_ZERO], "zero", &out->zero) < 0 ||
        convert_flag(values[NEW_ZERO_ON_FREE], "zero_on_free", &out->zero_on_free) < 0) {
        return -1;
    }
    out->domain = domain_current();
    if (out->domain == NULL || domain_tag(out->domain, values[NEW_TAG], out->pool, &out->tag) < 0 ||
        (out->memory_parent != NULL && object_alive(out->memory_parent, "own a list's memories") < 0)) {
        Py_CLEAR(out->domain);
        return -1;
    }
    return 0;
}

/* From the handle on no code of the caller's runs: nobody sees a handle without its list. */
static int make_list(LookasideList *self, const Plan *plan)
{
    self->domain = plan->domain;
    mb_result result = mb_list_new(plan->tag, plan->size, plan->alignment, (uint32_t)plan->maximum_depth, plan->zero,
                                   plan->zero_on_free, &self->list);
    if (result != MB_OK) {
        raise_store(result, self->domain->store, plan->size);
        return -1;
    }
    self->list->owner = self;
    return 0;
}

static PyObject *list_new(PyTypeObject *type, PyObject *arguments, PyObject *keywords)
{
    PyObject *values[NEW_COUNT];
    Plan made;
    if (parse_new_arguments(&new_signature, arguments, keywords, values) < 0 || plan(values, &made) < 0) {
        return NULL;
    }
    LookasideList *self = (LookasideList *)type->tp_alloc(type, 0);
    if (self == NULL) {
        Py_DECREF(made.domain);
        return NULL;
    }
    state_or((Object *)self, TRACKED | INITIALIZED);
    allow_try_newref((PyObject *)self);
    if (make_list(self, &made) < 0 || remember_parent(self, made.memory_parent) < 0 ||
        object_setup((Object *)self, &made.common) < 0) {
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

static int list_init(PyObject *self, PyObject *arguments, PyObject *keywords)
{
    return 0;
}

/* What destroy means: idle blocks go; the store's list goes when its last block is home. */
void list_release(LookasideList *self)
{
    forget_parent(self);
    mb_list *list = self->list;
    self->list = NULL;
    if (list != NULL) {
        list->owner = NULL;
        mb_list_close(list);
    }
}

/* ---- allocating ------------------------------------------------------------------------------------------ */

static const char *const allocate_names[] = {"parent", "on_cleanup", "on_destroy", NULL};
static PyObject *allocate_interned[3];
static Signature allocate_signature = {"allocate", allocate_names, allocate_interned, 0, 0};

static MB_RARE Memory *no_memory(Memory *memory)
{
    state_or(&memory->base, DESTROYED | RELEASED);
    Py_DECREF(memory);
    return NULL;
}

static MB_RARE Memory *raise_closed(LookasideList *self, Memory *memory)
{
    if (object_alive((Object *)self, "allocate from it") == 0) {
        raise_status(STATUS_DELETE_PENDING, NULL, "the deletion of %R has begun: it hands out no more memory", self);
    }
    return no_memory(memory);
}

static MB_RARE Memory *raise_miss(LookasideList *self, Memory *memory, mb_result result)
{
    raise_store(result, self->domain->store, self->list->size);
    object_unhold((Object *)self);
    return no_memory(memory);
}

static Memory *take(LookasideList *self)
{
    Memory *memory = memory_new_handle(); /* first: the collector may run, and with it a delete of the list */
    if (memory == NULL) {
        return NULL;
    }
    if ((state_load((Object *)self) & FROZEN) != 0) {
        return raise_closed(self, memory);
    }
    if (object_hold((Object *)self) < 0) {
        return no_memory(memory);
    }
    mb_list *list = self->list;
    mb_block *block;
    mb_result result = mb_list_pop(list, &block);
    if (result != MB_OK) {
        return raise_miss(self, memory, result);
    }
    memory->buffer = block->data;
    memory->size = list->size;
    memory->source = &list->source;
    memory->block = block;
    block->site = self->domain->sites ? site_take() : 0;
    mb_block_hold(block, memory);
    return memory;
}

static PyObject *allocate(LookasideList *self, Common *common)
{
    Memory *memory = take(self); /* before the parent is looked at, as the framework does */
    if (memory == NULL) {
        return NULL;
    }
    Object *own = NULL;
    if (common->parent == NULL && self->has_memory_parent) {
        common->parent = own = own_parent(self);
    }
    bool found = common->parent != NULL || !self->has_memory_parent;
    int result = found ? object_setup(&memory->base, common) : -1;
    Py_XDECREF((PyObject *)own);
    if (result < 0) {
        Py_DECREF(memory);
        return NULL;
    }
    return (PyObject *)memory;
}

static PyObject *allocate_with(LookasideList *self, PyObject *const *arguments, Py_ssize_t count,
                               PyObject *keywords)
{
    Common common = {0};
    PyObject *values[3];
    if (parse_arguments(&allocate_signature, arguments, count, keywords, values) < 0 ||
        (values[0] != NULL && convert_object(values[0], "parent", &common.parent) < 0) ||
        (values[1] != NULL && convert_callable(values[1], "on_cleanup", &common.cleanup) < 0) ||
        (values[2] != NULL && convert_callable(values[2], "on_destroy", &common.destroy) < 0)) {
        return NULL;
    }
    return allocate(self, &common);
}

static PyObject *list_allocate(LookasideList *self, PyObject *const *arguments, Py_ssize_t count,
                               PyObject *keywords)
{
    if (count == 0 && keywords == NULL && !self->has_memory_parent) {
        return (PyObject *)take(self);
    }
    return allocate_with(self, arguments, count, keywords);
}

/* ---- depth and figures -------------------------------------------------------------------------------------- */

/* The store's list, with a hold on its object: another thread may delete it meanwhile. */
static mb_list *begin_use(LookasideList *self, const char *what)
{
    if (object_alive((Object *)self, what) < 0 || object_hold((Object *)self) < 0) {
        return NULL;
    }
    return self->list;
}

static void end_use(LookasideList *self)
{
    object_unhold((Object *)self);
}

static PyObject *list_rebalance(LookasideList *self, PyObject *unused)
{
    mb_list *list = begin_use(self, "rebalance it");
    if (list == NULL) {
        return NULL;
    }
    mb_list_rebalance(list);
    end_use(self);
    Py_RETURN_NONE;
}

static PyObject *list_flush(LookasideList *self, PyObject *unused)
{
    mb_list *list = begin_use(self, "flush it");
    if (list == NULL) {
        return NULL;
    }
    mb_list_flush(list);
    end_use(self);
    Py_RETURN_NONE;
}

/* The counters as they are; what is derived from them is derived in Python. */
static PyObject *list_statistics(LookasideList *self, PyObject *unused)
{
    mb_list *list = begin_use(self, "read its statistics");
    if (list == NULL) {
        return NULL;
    }
    mb_lock(&list->mutex);
    mb_list now = *list;
    mb_unlock(&list->mutex);
    end_use(self);
    PyObject *record = from_module("membuf.pool.statistics", "LookasideStatistics");
    if (record == NULL) {
        return NULL;
    }
    PyObject *result = PyObject_CallFunction(
        record, "IIIKKKKK", now.depth, now.maximum_depth, now.idle, (unsigned long long)now.total_allocates,
        (unsigned long long)now.allocate_misses, (unsigned long long)now.total_frees,
        (unsigned long long)now.free_misses, (unsigned long long)now.failures);
    Py_DECREF(record);
    return result;
}

static PyObject *list_size(LookasideList *self, void *closure)
{
    mb_list *list = begin_use(self, "read its size");
    if (list == NULL) {
        return NULL;
    }
    size_t size = list->size;
    end_use(self);
    return PyLong_FromSize_t(size);
}

static PyObject *list_tag(LookasideList *self, void *closure)
{
    mb_list *list = begin_use(self, "read its tag");
    if (list == NULL) {
        return NULL;
    }
    uint32_t tag = list->source.tag->value;
    end_use(self);
    return tag_text(tag);
}

static PyObject *list_pool(LookasideList *self, void *closure)
{
    mb_list *list = begin_use(self, "read its pool");
    if (list == NULL) {
        return NULL;
    }
    mb_pool pool = list->source.tag->pool;
    end_use(self);
    return pool_number(pool);
}

/* ---- the type ------------------------------------------------------------------------------------------------- */

static int list_traverse(LookasideList *self, visitproc visit, void *arg)
{
    Py_VISIT((PyObject *)self->domain);
    return object_traverse((Object *)self, visit, arg);
}

static int list_clear(LookasideList *self)
{
    object_clear((Object *)self);
    return 0;
}

static void list_free(LookasideList *self)
{
    if (self->base.weak_references != NULL) {
        PyObject_ClearWeakRefs((PyObject *)self);
    }
    Py_XDECREF(self->domain);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static void list_dealloc(LookasideList *self)
{
    object_untrack((Object *)self);
    Py_TRASHCAN_BEGIN(self, list_dealloc)
    if (object_dealloc_begin((Object *)self)) {
        list_free(self);
    }
    Py_TRASHCAN_END
}

PyDoc_STRVAR(list_doc,
"LookasideList(size, *, tag=None, pool=512, parent=None, memory_parent=None, zero=False,\n"
"              zero_on_free=False, maximum_depth=256, alignment=None, name=None, on_cleanup=None,\n"
"              on_destroy=None)\n--\n\n"
"A list of idle blocks of one size: allocating takes the block freed last, deleting gives it back.\n\n"
"At most ``depth`` blocks stay idle: 4 at first, more when allocations miss, up to ``maximum_depth``,\n"
"fewer when they lie unused. Deleting the list refuses further allocations; its memories stay usable,\n"
"and it is destroyed with the last of them.\n\n"
"Args:\n"
"    size: bytes of each block, 1 to 2**32 - 1.\n"
"    memory_parent: the owner of every memory handed out (a weak link).\n"
"    zero: clear a block each time it is handed out.\n"
"    zero_on_free: clear it each time it comes back.\n"
"    maximum_depth: the most blocks that may lie idle.\n\n"
"Raises:\n"
"    InvalidParameterError: a size or depth out of range, a bad tag or alignment.\n\n"
"Source: WdfLookasideListCreate; the page on using lookaside lists.\n\n"
"Example:\n"
"    >>> import membuf\n"
"    >>> pages = membuf.LookasideList(4096, tag='Page')\n"
"    >>> first = pages.allocate(); address = first.address; first.delete()\n"
"    >>> pages.allocate().address == address\n"
"    True\n");

static PyMethodDef list_methods[] = {
    {"allocate", FAST_KEYWORDS(list_allocate),
     "allocate($self, *, parent=None, on_cleanup=None, on_destroy=None)\n--\n\n"
     "A memory object of the list's size. delete(), its owner's deletion or dropping it gives the block back.\n\n"
     "Raises INSUFFICIENT_RESOURCES, or DELETE_PENDING when the list or the owner is being deleted. The\n"
     "callbacks are this memory's, for this life. Source: WdfMemoryCreateFromLookaside.\n\n"
     "    >>> import membuf\n"
     "    >>> membuf.LookasideList(100).allocate().source\n"
     "    'lookaside'\n"},
    {"statistics", (PyCFunction)list_statistics, METH_NOARGS,
     "statistics($self, /)\n--\n\n"
     "A frozen record of the counters; see ``membuf.pool.LookasideStatistics``.\n\n"
     "    >>> import membuf\n"
     "    >>> membuf.LookasideList(100).statistics().depth\n"
     "    4\n"},
    {"rebalance", (PyCFunction)list_rebalance, METH_NOARGS,
     "rebalance($self, /)\n--\n\n"
     "Adapt the depth now, by the rule that otherwise applies once a second.\n\n"
     "With m misses since the last time: depth grows by min(m, depth); without, it shrinks by half of\n"
     "what lay idle throughout, not below 4, and idle blocks above it are freed.\n\n"
     "    >>> import membuf\n"
     "    >>> pages = membuf.LookasideList(100); m = pages.allocate(); pages.rebalance()\n"
     "    >>> pages.statistics().depth\n"
     "    5\n"},
    {"flush", (PyCFunction)list_flush, METH_NOARGS,
     "flush($self, /)\n--\n\n"
     "Free all idle blocks; blocks in use are not touched. Source: ExFlushLookasideListEx.\n\n"
     "    >>> import membuf\n"
     "    >>> pages = membuf.LookasideList(100); pages.allocate().delete(); pages.flush()\n"
     "    >>> pages.statistics().idle\n"
     "    0\n"},
    {NULL},
};

static PyGetSetDef list_properties[] = {
    {"size", (getter)list_size, NULL, "Bytes of each block."},
    {"tag", (getter)list_tag, NULL, "The tag in display order."},
    {"pool", (getter)list_pool, NULL, "The pool type's number."},
    {NULL},
};

PyTypeObject LookasideList_Type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "membuf._native.LookasideList",
    .tp_basicsize = sizeof(LookasideList),
    .tp_base = &Object_Type,
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .tp_doc = list_doc,
    .tp_new = list_new,
    .tp_init = list_init,
    .tp_dealloc = (destructor)list_dealloc,
    .tp_finalize = object_finalize,
    .tp_traverse = (traverseproc)list_traverse,
    .tp_clear = (inquiry)list_clear,
    .tp_methods = list_methods,
    .tp_getset = list_properties,
    .tp_weaklistoffset = offsetof(WeakObject, weak_references),
};
