/* Domains at the Python border: a store with its default tag and its place in the ownership tree.
 * What a domain does at its end, and how its figures are shown, is decided in Python. */
#include "native.h"

#include <stddef.h>
#include <string.h>

static PyObject *current; /* a context variable */
static PyObject *fallback; /* the default domain of this process */

Domain *domain_current(void)
{
    PyObject *found = NULL;
    if (PyContextVar_Get(current, fallback, &found) < 0) {
        return NULL;
    }
    if (found == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "no default domain: import membuf, not membuf._native alone");
        return NULL;
    }
    if (!PyObject_TypeCheck(found, &Domain_Type) || ((Domain *)found)->store == NULL) {
        PyErr_Format(PyExc_TypeError, "the current domain must be a Domain that was initialized, not %R", found);
        Py_CLEAR(found);
    }
    return (Domain *)found;
}

int domain_tag(Domain *self, PyObject *value, mb_pool pool, mb_tag **out)
{
    uint32_t tag = self->default_tag;
    if (value != NULL && value != Py_None && convert_tag(value, &tag) < 0) {
        return -1;
    }
    if (object_alive((Object *)self, "allocate in it") < 0) {
        return -1;
    }
    *out = mb_tag_get(self->store, tag, pool);
    if (*out == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    return 0;
}

/* ---- making ----------------------------------------------------------------------------------------- */

enum { NEW_TAG, NEW_LIMIT, NEW_LOCKED, NEW_SITES, NEW_AUTO_REBALANCE, NEW_ZERO_ON_FREE, NEW_NAME, NEW_COUNT };
static const char *const new_names[] = {"tag", "limit", "locked", "sites", "auto_rebalance", "zero_on_free", "name",
                                        NULL};
static PyObject *new_interned[NEW_COUNT];
static Signature new_signature = {"Domain", new_names, new_interned, 0, 0};

static int convert_limit(PyObject *value, uint64_t *out)
{
    size_t limit = 0;
    if (value != NULL && value != Py_None) {
        if (convert_size(value, "limit", &limit) < 0) {
            return -1;
        }
        if (limit == 0) {
            raise_status(STATUS_INVALID_PARAMETER, Py_BuildValue("{si}", "limit", 0),
                         "limit must be at least 1 byte, or None for no limit, got 0");
            return -1;
        }
    }
    *out = limit;
    return 0;
}

static int convert_locked(PyObject *value, bool *required)
{
    *required = false;
    if (value == NULL) {
        return 0;
    }
    if (PyUnicode_Check(value) && PyUnicode_CompareWithASCIIString(value, "required") == 0) {
        *required = true;
        return 0;
    }
    if (PyUnicode_Check(value) && PyUnicode_CompareWithASCIIString(value, "best-effort") == 0) {
        return 0;
    }
    raise_status(STATUS_INVALID_PARAMETER, NULL, "locked must be 'best-effort' or 'required', got %R", value);
    return -1;
}

static int convert_options(PyObject **values, mb_options *options, bool *sites)
{
    *sites = true;
    options->auto_rebalance = true;
    if (convert_limit(values[NEW_LIMIT], &options->limit) < 0 ||
        convert_locked(values[NEW_LOCKED], &options->lock_required) < 0 ||
        (values[NEW_SITES] != NULL && convert_flag(values[NEW_SITES], "sites", sites) < 0) ||
        (values[NEW_AUTO_REBALANCE] != NULL &&
         convert_flag(values[NEW_AUTO_REBALANCE], "auto_rebalance", &options->auto_rebalance) < 0)) {
        return -1;
    }
    return convert_flag(values[NEW_ZERO_ON_FREE], "zero_on_free", &options->zero_on_free);
}

static int domain_init(Domain *self, PyObject *arguments, PyObject *keywords)
{
    PyObject *values[NEW_COUNT];
    mb_options options = {0};
    bool sites;
    uint32_t tag = 0x626D654D; /* Memb */
    if (parse_new_arguments(&new_signature, arguments, keywords, values) < 0 ||
        convert_options(values, &options, &sites) < 0 ||
        (values[NEW_TAG] != NULL && values[NEW_TAG] != Py_None && convert_tag(values[NEW_TAG], &tag) < 0)) {
        return -1;
    }
    if (object_alive((Object *)self, "initialize it") < 0) {
        return -1;
    }
    if ((state_or((Object *)self, INITIALIZED) & INITIALIZED) != 0) {
        PyErr_SetString(PyExc_TypeError, "a domain is initialized once");
        return -1;
    }
    PyObject *named = values[NEW_NAME] == NULL ? Py_None : values[NEW_NAME];
    PyObject *common_values[COMMON_COUNT] = {named, Py_None, Py_None, Py_None};
    Common common;
    if (convert_common(common_values, &common) < 0 || object_setup((Object *)self, &common) < 0) {
        return -1;
    }
    self->sites = sites;
    self->default_tag = tag;
    self->store = mb_domain_new(&options);
    if (self->store == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    return 0;
}

void domain_release(Domain *self)
{
    /* Blocks, lists and views may outlive the domain object's deletion: the store goes in dealloc. */
}

static int check_ready(Domain *self)
{
    if (self->store != NULL) {
        return 0;
    }
    PyErr_SetString(PyExc_RuntimeError, "Domain.__init__ was not called");
    return -1;
}

/* ---- settings -------------------------------------------------------------------------------------------- */

static PyObject *domain_set_limit(Domain *self, PyObject *value)
{
    uint64_t limit;
    if (check_ready(self) < 0 || convert_limit(value, &limit) < 0) {
        return NULL;
    }
    mb_domain_set_limit(self->store, limit);
    Py_RETURN_NONE;
}

static PyObject *domain_set_faults(Domain *self, PyObject *value)
{
    size_t after;
    if (check_ready(self) < 0 || convert_size(value, "after", &after) < 0) {
        return NULL;
    }
    mb_domain_set_faults(self->store, after > INT64_MAX ? INT64_MAX : (int64_t)after);
    Py_RETURN_NONE;
}

static PyObject *domain_trim(Domain *self, PyObject *unused)
{
    return check_ready(self) < 0 ? NULL : PyLong_FromSize_t(mb_domain_trim(self->store));
}

static PyObject *domain_rebalance(Domain *self, PyObject *unused)
{
    if (check_ready(self) < 0) {
        return NULL;
    }
    mb_domain_rebalance(self->store);
    Py_RETURN_NONE;
}

/* ---- figures ------------------------------------------------------------------------------------------------ */

#define K(value) (unsigned long long)(value)

static PyObject *domain_figures(Domain *self, PyObject *unused)
{
    mb_figures f;
    if (check_ready(self) < 0) {
        return NULL;
    }
    mb_domain_figures(self->store, &f);
    return Py_BuildValue("{sK sK sK sK sK sK sK sK sK sK sK sK sK}", "limit", K(f.limit), "charged_bytes",
                         K(f.charged_bytes), "peak_charged_bytes", K(f.peak_charged_bytes), "idle_bytes",
                         K(f.idle_bytes), "mapped_bytes", K(f.mapped_bytes), "locked_bytes", K(f.locked_bytes),
                         "unlocked_bytes", K(f.unlocked_bytes), "lists", K(f.lists), "stale_blocks",
                         K(f.stale_blocks), "stale_events", K(f.stale_events), "failures", K(f.failures),
                         "dropped_blocks", K(f.dropped_blocks), "allocation_points",
                         K(mb_domain_allocation_points(self->store)));
}

static PyObject *tag_record(mb_tag *tag)
{
    PyObject *text = tag_text(tag->value);
    if (text == NULL) {
        return NULL;
    }
    return Py_BuildValue("(NiKKKKK)", text, tag->pool == MB_PAGED ? 1 : 512, K(mb_load(&tag->allocations)),
                         K(mb_load(&tag->frees)), K(mb_load(&tag->hits)), K(mb_load(&tag->bytes)),
                         K(mb_load(&tag->peak_bytes)));
}

static PyObject *domain_tags(Domain *self, PyObject *unused)
{
    PyObject *list = check_ready(self) < 0 ? NULL : PyList_New(0);
    for (size_t bucket = 0; list != NULL && bucket < mb_domain_tag_buckets(); bucket++) {
        for (mb_tag *tag = mb_domain_tag_at(self->store, bucket); tag != NULL; tag = tag->next) {
            PyObject *record = tag_record(tag);
            int result = record == NULL ? -1 : PyList_Append(list, record);
            Py_XDECREF(record);
            if (result < 0) {
                Py_CLEAR(list);
                break;
            }
        }
    }
    return list;
}

static int append_holder(mb_block *block, mb_pool pool, void *context)
{
    PyObject *owner = mb_block_holder(block);
    PyObject *holder = owner == NULL ? NULL : try_newref(owner);
    int result = holder == NULL ? 0 : PyList_Append(context, holder);
    Py_XDECREF(holder);
    return result;
}

static PyObject *domain_holders(Domain *self, PyObject *unused)
{
    PyObject *list = check_ready(self) < 0 ? NULL : PyList_New(0);
    if (list == NULL) {
        return NULL;
    }
    mb_domain_lock(self->store);
    int result = mb_domain_walk(self->store, append_holder, list);
    mb_domain_unlock(self->store);
    if (result < 0) {
        Py_CLEAR(list);
    }
    return list;
}

static PyObject *domain_tag_property(Domain *self, void *closure)
{
    return tag_text(self->default_tag);
}

static PyObject *domain_sites(Domain *self, void *closure)
{
    return PyBool_FromLong(self->sites);
}

/* ---- the type -------------------------------------------------------------------------------------------------- */

static int domain_traverse(PyObject *self, visitproc visit, void *arg)
{
    return object_traverse((Object *)self, visit, arg);
}

static int domain_clear(PyObject *self)
{
    object_clear((Object *)self);
    return 0;
}

static void domain_free(Domain *self)
{
    if (self->base.weak_references != NULL) {
        PyObject_ClearWeakRefs((PyObject *)self);
    }
    if (self->store != NULL) {
        mb_domain_close(self->store);
    }
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static void domain_dealloc(Domain *self)
{
    object_untrack((Object *)self);
    Py_TRASHCAN_BEGIN(self, domain_dealloc)
    if (object_dealloc_begin((Object *)self)) {
        domain_free(self);
    }
    Py_TRASHCAN_END
}

PyDoc_STRVAR(domain_doc,
"Domain(*, tag=None, limit=None, locked='best-effort', sites=True, auto_rebalance=True,\n"
"       zero_on_free=False, name=None)\n--\n\n"
"The native half of ``membuf.Domain``: a store of blocks with a default tag.\n\n"
"Example:\n"
"    >>> import membuf._native\n"
"    >>> membuf._native.Domain(tag='Drv1').tag\n"
"    'Drv1'\n");

static PyMethodDef domain_methods[] = {
    {"set_limit", (PyCFunction)domain_set_limit, METH_O,
     "set_limit($self, limit, /)\n--\n\nSet the hard limit on bytes taken from the pool, idle blocks included; None: no limit.\n\n"
     "    >>> import membuf\n"
     "    >>> membuf.Domain().set_limit(1 << 20)\n"},
    {"trim", (PyCFunction)domain_trim, METH_NOARGS,
     "trim($self, /)\n--\n\nFree idle blocks and unmap what is empty; the bytes given back to the system.\n\n"
     "    >>> import membuf\n"
     "    >>> membuf.Domain().trim()\n"
     "    0\n"},
    {"rebalance", (PyCFunction)domain_rebalance, METH_NOARGS,
     "rebalance($self, /)\n--\n\nRebalance every lookaside list of the domain now.\n\n"
     "    >>> import membuf\n"
     "    >>> membuf.Domain().rebalance()\n"},
    {"_set_faults", (PyCFunction)domain_set_faults, METH_O,
     "_set_faults($self, after, /)\n--\n\nMake the after-th allocation from now, and all later, fail; 0: none."},
    {"_figures", (PyCFunction)domain_figures, METH_NOARGS, "_figures($self, /)\n--\n\nThe store's counters."},
    {"_tags", (PyCFunction)domain_tags, METH_NOARGS,
     "_tags($self, /)\n--\n\n(tag, pool, allocations, frees, hits, bytes, peak_bytes) of every tag."},
    {"_holders", (PyCFunction)domain_holders, METH_NOARGS,
     "_holders($self, /)\n--\n\nThe Memory and Block objects that hold a block of the domain now."},
    {NULL},
};

static PyGetSetDef domain_properties[] = {
    {"tag", (getter)domain_tag_property, NULL, "The tag of what is allocated without one."},
    {"sites", (getter)domain_sites, NULL, "Whether allocation sites are recorded."},
    {NULL},
};

PyTypeObject Domain_Type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "membuf._native.Domain",
    .tp_basicsize = sizeof(Domain),
    .tp_base = &Object_Type,
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .tp_doc = domain_doc,
    .tp_init = (initproc)domain_init,
    .tp_dealloc = (destructor)domain_dealloc,
    .tp_finalize = object_finalize,
    .tp_traverse = domain_traverse,
    .tp_clear = domain_clear,
    .tp_methods = domain_methods,
    .tp_getset = domain_properties,
    .tp_weaklistoffset = offsetof(WeakObject, weak_references),
};

/* ---- module functions ---------------------------------------------------------------------------------------------- */

static PyObject *set_default_domain(PyObject *module, PyObject *domain)
{
    if (!PyObject_TypeCheck(domain, &Domain_Type) || check_ready((Domain *)domain) < 0) {
        if (!PyErr_Occurred()) {
            PyErr_SetString(PyExc_TypeError, "a Domain is needed");
        }
        return NULL;
    }
    Py_XSETREF(fallback, Py_NewRef(domain));
    Py_RETURN_NONE;
}

static PyObject *current_domain(PyObject *module, PyObject *unused)
{
    return (PyObject *)domain_current();
}

/* ---- local buffers: functions of the module, so that the recorded site is the caller's ------------------------ */

static const char *const allocate_names[] = {"size", "tag", "pool", "alignment", "zero", NULL};
static PyObject *allocate_interned[5];
static Signature allocate_signature = {"allocate", allocate_names, allocate_interned, 1, 1};

static PyObject *allocate(PyObject *module, PyObject *const *arguments, Py_ssize_t count, PyObject *keywords)
{
    PyObject *values[5];
    if (parse_arguments(&allocate_signature, arguments, count, keywords, values) < 0) {
        return NULL;
    }
    Domain *domain = domain_current();
    PyObject *block = domain == NULL ? NULL : block_allocate(domain, values);
    Py_XDECREF(domain);
    return block;
}

static const char *const free_names[] = {"block", "tag", NULL};
static PyObject *free_interned[2];
static Signature free_signature = {"free", free_names, free_interned, 1, 1};

static PyObject *free_block(PyObject *module, PyObject *const *arguments, Py_ssize_t count, PyObject *keywords)
{
    PyObject *values[2];
    if (parse_arguments(&free_signature, arguments, count, keywords, values) < 0) {
        return NULL;
    }
    if (!Py_IS_TYPE(values[0], &Block_Type)) {
        return PyErr_Format(PyExc_TypeError, "block must come from membuf.pool.allocate, got %.100s",
                            Py_TYPE(values[0])->tp_name);
    }
    return block_free((Block *)values[0], values[1]);
}

/* Of a Memory or Block that holds a block, deleted or not: what a report shows. */
PyObject *describe_block(const mb_source *source, const mb_block *block, size_t size, bool deleted)
{
    PyObject *tag = tag_text(source->tag->value);
    PyObject *site = site_text(block->site);
    if (tag == NULL || site == NULL) {
        Py_XDECREF(tag);
        Py_XDECREF(site);
        return NULL;
    }
    return Py_BuildValue("(NnKiNN)", tag, (Py_ssize_t)size, K((uintptr_t)block->data),
                         source->tag->pool == MB_PAGED ? 1 : 512, site, PyBool_FromLong(deleted));
}

PyObject *raise_home(PyObject *op)
{
    return PyErr_Format(PyExc_TypeError, "a Memory or Block that holds a block is needed, got %R", op);
}

static PyObject *describe_holder(PyObject *module, PyObject *op)
{
    if (Py_IS_TYPE(op, &Memory_Type)) {
        return memory_describe((Memory *)op);
    }
    return Py_IS_TYPE(op, &Block_Type) ? block_describe((Block *)op) : raise_home(op);
}

PyDoc_STRVAR(allocate_doc,
"allocate(size, *, tag=None, pool=512, alignment=None, zero=False)\n--\n\n"
"A local buffer from the current domain's pool.\n\n"
"Args:\n"
"    size: bytes, 1 or more.\n"
"    tag: 1 to 4 characters; the domain's default if absent.\n"
"    pool: NONPAGED or PAGED.\n"
"    alignment: a power of two, bytes; 16 below a page and a page from there up if absent.\n"
"    zero: clear the bytes.\n\n"
"Raises:\n"
"    InvalidParameterError: a size of 0 or below, a bad tag or alignment.\n"
"    InsufficientResourcesError: the domain's limit, or the system's.\n\n"
"Source: ExAllocatePool2.\n\n"
"Example:\n"
"    >>> import membuf\n"
"    >>> block = membuf.pool.allocate(100, tag='Locl')\n"
"    >>> len(block), block.address % 16\n"
"    (100, 0)\n"
"    >>> block.free()\n");

PyDoc_STRVAR(free_doc,
"free(block, tag=None)\n--\n\n"
"Give a local buffer back; with a tag only if it is the block's own.\n\n"
"Raises:\n"
"    InvalidParameterError: the wrong tag, or freed before (its ``bugcheck`` says which).\n"
"    TypeError: not a block of the pool.\n\n"
"Source: ExFreePoolWithTag.\n\n"
"Example:\n"
"    >>> import membuf\n"
"    >>> membuf.pool.free(membuf.pool.allocate(16))\n");

static PyMethodDef functions[] = {
    {"allocate", FAST_KEYWORDS(allocate), allocate_doc},
    {"free", FAST_KEYWORDS(free_block), free_doc},
    {"describe_holder", describe_holder, METH_O,
     "describe_holder($module, holder, /)\n--\n\n(tag, size, address, pool, site, deleted) of one of Domain._holders()."},
    {"set_default_domain", set_default_domain, METH_O,
     "set_default_domain($module, domain, /)\n--\n\nMake a domain the one used where no other is current."},
    {"current_domain", current_domain, METH_NOARGS, "current_domain($module, /)\n--\n\nThe domain new memory comes from."},
    {NULL},
};

int module_add_domain(PyObject *module)
{
    current = PyContextVar_New("membuf.domain", NULL);
    if (current == NULL || PyModule_AddFunctions(module, functions) < 0) {
        return -1;
    }
    return PyModule_AddObjectRef(module, "domain_variable", current);
}
