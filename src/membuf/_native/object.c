/* The object node: what every type of the tree has, and the plain Object type. */
#include "native.h"

#include <string.h>

/* ---- being alive -------------------------------------------------------------------------------- */

PyObject *raise_deleted(PyObject *object, const char *what)
{
    Object *self = (Object *)object;
    bool over = (state_load(self) & DESTROYED) != 0;
    PyObject *site = over ? site_text(self->deleted_site) : Py_NewRef(Py_None);
    if (site == NULL) {
        return NULL;
    }
    PyObject *operands = Py_BuildValue("{sO}", "site", site);
    if (site == Py_None) {
        raise_status(STATUS_INVALID_HANDLE, operands, "cannot %s: %R was deleted and nothing holds it any more; "
                     "take a reference() before delete() to use it longer", what, object);
    } else {
        raise_status(STATUS_INVALID_HANDLE, operands, "cannot %s: %R was deleted at %U and nothing holds it any "
                     "more; take a reference() before delete() to use it longer", what, object, site);
    }
    Py_DECREF(site);
    return NULL;
}

int object_alive(Object *self, const char *what)
{
    if ((state_load(self) & (DESTROYING | DESTROYED)) == 0) {
        return 0;
    }
    raise_deleted((PyObject *)self, what);
    return -1;
}

/* ---- making, visiting, freeing ---------------------------------------------------------------------- */

/* The tree stays a tree, and a deletion that has begun knows all it has to call. */
static int check_setup(Object *self, const Common *common)
{
    if ((state_load(self) & FROZEN) != 0) {
        raise_status(STATUS_DELETE_PENDING, NULL, "the deletion of %R has begun: it is not initialized any more", self);
        return -1;
    }
    if (common->parent != NULL && (common->parent == self || self->child != NULL)) {
        raise_status(STATUS_INVALID_PARAMETER, NULL, "%R owns objects already (or would own itself): its parent is "
                     "given before, to Object.__init__", self);
        return -1;
    }
    return 0;
}

int object_setup(Object *self, const Common *common)
{
    Py_ssize_t hook = self->extras == NULL ? 0 : self->extras->hook_count;
    if (common->name != NULL) {
        Extras *extras = extras_get(self);
        if (extras == NULL) {
            return -1;
        }
        Py_XSETREF(extras->name, Py_NewRef(common->name));
    }
    if ((common->cleanup != NULL || common->destroy != NULL) &&
        extras_add_hooks(self, common->cleanup, common->destroy, NULL, NULL) < 0) {
        return -1;
    }
    if (common->parent == NULL || tree_attach(common->parent, self) == 0) {
        return 0;
    }
    if (common->cleanup != NULL || common->destroy != NULL) {
        extras_drop_callbacks(self, hook); /* a create that failed runs none */
    }
    return -1;
}

/* Untracked objects under a tracked one, or above it, would hide a cycle: the whole path is tracked. */
void object_track(Object *self)
{
    while (self != NULL && (state_or(self, TRACKED) & TRACKED) == 0) {
        PyObject_GC_Track((PyObject *)self);
        self = self->parent;
    }
}

void object_untrack(Object *self)
{
    if ((state_and(self, ~TRACKED) & TRACKED) != 0) {
        PyObject_GC_UnTrack((PyObject *)self);
    }
}

int object_traverse(Object *self, visitproc visit, void *arg)
{
    Object *child = self->child;
    while (child != NULL) {
        Py_VISIT((PyObject *)child);
        child = child->next == self->child ? NULL : child->next;
    }
    return self->extras == NULL ? 0 : extras_traverse(self->extras, visit, arg);
}

/* The last Python reference went, or the collector found a cycle: the same deletion as delete(). */
/* How many deallocations of this thread, one inside the other, are deleting their objects. */
static _Thread_local int finalizing;

bool object_in_finalizer(void)
{
    return finalizing > 0;
}

void object_finalize(PyObject *op)
{
    Object *self = (Object *)op;
    state_or(self, FINALIZED);
    if (self->parent != NULL || (state_load(self) & FROZEN) != 0) {
        return; /* the root of the tree does it */
    }
    PyObject *kind, *value, *traceback, *errors = NULL;
    PyErr_Fetch(&kind, &value, &traceback);
    finalizing++;
    tree_delete(self, 0, &errors);
    finalizing--;
    report_errors(errors, self);
    PyErr_Restore(kind, value, traceback);
}


/* A __del__ that stands in the place of our finalizer: both are called, it first. */
static destructor python_finalize;

static void finalize_both(PyObject *op)
{
    python_finalize(op);
    object_finalize(op);
}

/* The function that calls a class's __del__ has no name in the C API: a class that has one shows it. */
int object_prepare_finalizer(void)
{
    PyObject *probe = PyObject_CallFunction((PyObject *)&PyType_Type, "s(){sO}", "probe", "__del__", Py_None);
    if (probe == NULL) {
        return -1;
    }
    python_finalize = ((PyTypeObject *)probe)->tp_finalize;
    Py_DECREF(probe);
    return 0;
}

/* Garbage that our finalizer never saw, because a __del__ came into its place after the object was
 * made. No callback runs: the collector may have emptied it already. */
void object_clear(Object *self)
{
    if (self->parent != NULL) {
        return; /* a child's end is its root's, which is garbage too */
    }
    tree_delete(self, 0, NULL);
    if ((state_load(self) & DESTROYED) != 0) {
        extras_gone(self);
    }
}

/* False: somebody holds the object again. */
static bool finalize(Object *self)
{
    PyObject *op = (PyObject *)self;
    if ((state_load(self) & DESTROYED) == 0 && PyObject_CallFinalizerFromDealloc(op) < 0) {
        return false;
    }
    if ((state_load(self) & DESTROYED) == 0) {
        Py_SET_REFCNT(op, 1);
        object_clear(self);
        Py_SET_REFCNT(op, Py_REFCNT(op) - 1);
    }
    return Py_REFCNT(op) == 0;
}

bool object_dealloc_begin(Object *self)
{
    if (!finalize(self)) {
        object_track(self);
        return false;
    }
    object_untrack(self);
    site_drop(self->deleted_site);
    extras_free(self);
    return true;
}

void type_release(Object *self)
{
    PyObject *op = (PyObject *)self;
    if (Py_IS_TYPE(op, &Memory_Type)) {
        memory_release((Memory *)self);
    } else if (Py_IS_TYPE(op, &LookasideList_Type)) {
        list_release((LookasideList *)self);
    } else if (PyObject_TypeCheck(op, &Domain_Type)) {
        domain_release((Domain *)self);
    }
}

/* ---- methods ------------------------------------------------------------------------------------------ */

PyObject *object_delete(Object *self, PyObject *unused)
{
    uint64_t state = state_load(self);
    if ((state & (DESTROYING | DESTROYED)) != 0) {
        return raise_deleted((PyObject *)self, "delete it");
    }
    if ((state & UNDELETABLE) != 0) {
        return raise_status(STATUS_CANNOT_DELETE, NULL, "%R cannot be deleted: its owner ends it", self);
    }
    PyObject *errors = NULL;
    uint64_t site = site_take();
    Py_INCREF(self);
    tree_delete(self, site, &errors);
    int result = raise_errors(errors, self);
    Py_DECREF(self);
    site_drop(site);
    return result < 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *object_enter(Object *self, PyObject *unused)
{
    return object_alive(self, "enter it") < 0 ? NULL : Py_NewRef((PyObject *)self);
}

PyObject *object_exit(PyObject *op, PyObject *const *arguments, Py_ssize_t count)
{
    if ((state_load((Object *)op) & FROZEN) != 0) {
        Py_RETURN_NONE; /* an inner delete is fine */
    }
    return object_delete((Object *)op, NULL);
}

static const char *const context_names[] = {"type", "on_cleanup", "on_destroy", NULL};
static PyObject *context_interned[3];
static Signature add_context_signature = {"add_context", context_names, context_interned, 1, 1};

static int accepts_context(Object *self)
{
    if (object_alive(self, "add a context") < 0) {
        return -1;
    }
    if ((state_load(self) & FROZEN) != 0) {
        raise_status(STATUS_DELETE_PENDING, NULL, "the deletion of %R has begun: it takes no new contexts", self);
        return -1;
    }
    if (Py_IS_TYPE((PyObject *)self, &Memory_Type) && exported_is_embedded((Memory *)self)) {
        raise_status(STATUS_OBJECT_PATH_INVALID, NULL, "%R is a part of its request: add the context to that", self);
        return -1;
    }
    return 0;
}

/* Making the context ran code of the caller: the object may be gone, the type may be there now. */
static int keep_context(Object *self, PyObject *type, PyObject *context, PyObject *cleanup, PyObject *destroy)
{
    if (accepts_context(self) < 0) {
        return -1;
    }
    PyObject *there = extras_find_context(self, type);
    if (there != NULL) {
        Py_DECREF(there);
        PyErr_Format(PyExc_RuntimeError, "%R added a context of its own type while it was made", type);
        return -1;
    }
    return extras_add_hooks(self, cleanup, destroy, type, context);
}

static PyObject *object_add_context(Object *self, PyObject *const *arguments, Py_ssize_t count, PyObject *keywords)
{
    PyObject *values[3], *cleanup = NULL, *destroy = NULL;
    if (parse_arguments(&add_context_signature, arguments, count, keywords, values) < 0 ||
        (values[1] != NULL && convert_callable(values[1], "on_cleanup", &cleanup) < 0) ||
        (values[2] != NULL && convert_callable(values[2], "on_destroy", &destroy) < 0) ||
        accepts_context(self) < 0) {
        return NULL;
    }
    if (!PyCallable_Check(values[0])) {
        PyErr_Format(PyExc_TypeError, "type must be callable without arguments, got %R", values[0]);
        return NULL;
    }
    PyObject *found = extras_find_context(self, values[0]);
    if (found != NULL) {
        return found; /* the one there stays, and its callbacks */
    }
    PyObject *context = PyObject_CallNoArgs(values[0]);
    if (context == NULL || keep_context(self, values[0], context, cleanup, destroy) < 0) {
        Py_XDECREF(context);
        return NULL;
    }
    return context;
}

static PyObject *object_get_context(Object *self, PyObject *type)
{
    if ((state_load(self) & DESTROYED) != 0) { /* inside a destroy callback contexts are legal */
        return raise_deleted((PyObject *)self, "read a context");
    }
    PyObject *context = extras_find_context(self, type);
    return context == NULL ? Py_NewRef(Py_None) : context;
}

/* ---- properties ------------------------------------------------------------------------------------------ */

static PyObject *object_name(Object *self, void *closure)
{
    PyObject *name = self->extras == NULL ? NULL : self->extras->name;
    return Py_NewRef(name == NULL ? Py_None : name);
}

static PyObject *object_parent(Object *self, void *closure)
{
    return object_alive(self, "read its parent") < 0 ? NULL : tree_parent(self);
}

static PyObject *object_children(Object *self, void *closure)
{
    return object_alive(self, "list its children") < 0 ? NULL : tree_children(self);
}

static PyObject *object_context(Object *self, void *closure)
{
    if ((state_load(self) & DESTROYED) != 0) {
        return raise_deleted((PyObject *)self, "read its context");
    }
    Extras *extras = extras_get(self);
    return extras == NULL ? NULL : Py_XNewRef(extras_dictionary(self, &extras->context));
}

static PyObject *object_deleted(Object *self, void *closure)
{
    return PyBool_FromLong((state_load(self) & FROZEN) != 0);
}

static PyObject *object_reference_count(Object *self, void *closure)
{
    if (object_alive(self, "count its references") < 0) {
        return NULL;
    }
    uint64_t state = state_load(self);
    uint64_t own = (state & DROPPED) == 0;
    return PyLong_FromUnsignedLongLong((state & REFERENCES_MASK) / REFERENCE + own);
}

static PyObject *object_repr(Object *self)
{
    uint64_t state = state_load(self);
    const char *what = (state & DESTROYED) != 0 ? " deleted" : (state & FROZEN) != 0 ? " being deleted" : "";
    const char *type = strrchr(Py_TYPE(self)->tp_name, '.');
    type = type == NULL ? Py_TYPE(self)->tp_name : type + 1;
    PyObject *name = self->extras == NULL ? NULL : self->extras->name;
    if (name != NULL) {
        return PyUnicode_FromFormat("<membuf.%s %R%s>", type, name, what);
    }
    return PyUnicode_FromFormat("<membuf.%s at %p%s>", type, self, what);
}

/* ---- the plain type ------------------------------------------------------------------------------------------ */

static const char *const object_names[] = {COMMON_NAMES, NULL};
static PyObject *object_interned[COMMON_COUNT];
static Signature object_signature = {"Object", object_names, object_interned, 1, 0};

static PyObject *object_new(PyTypeObject *type, PyObject *arguments, PyObject *keywords)
{
    if (type->tp_finalize == python_finalize) {
        type->tp_finalize = finalize_both;
    }
    PyObject *self = type->tp_alloc(type, 0); /* tracked: a subclass may hold anything */
    if (self != NULL) {
        state_or((Object *)self, TRACKED);
        allow_try_newref(self);
    }
    return self;
}

static int object_init(Object *self, PyObject *arguments, PyObject *keywords)
{
    PyObject *values[COMMON_COUNT];
    Common common;
    if (parse_new_arguments(&object_signature, arguments, keywords, values) < 0) {
        return -1;
    }
    if (convert_common(values, &common) < 0) {
        return -1;
    }
    if (object_alive(self, "initialize it") < 0 || check_setup(self, &common) < 0) {
        return -1;
    }
    if ((state_or(self, INITIALIZED) & INITIALIZED) != 0) { /* Object.__init__ of another type, too */
        PyErr_SetString(PyExc_TypeError, "an object is initialized once: its parent and callbacks are fixed");
        return -1;
    }
    return object_setup(self, &common);
}

static int plain_traverse(PyObject *op, visitproc visit, void *arg)
{
    return object_traverse((Object *)op, visit, arg);
}

static int plain_clear(PyObject *op)
{
    object_clear((Object *)op);
    return 0;
}

/* What is freed may hold the next, and that the next: the trash can keeps a long chain off the stack. */
static void plain_dealloc(PyObject *op)
{
    object_untrack((Object *)op);
    Py_TRASHCAN_BEGIN(op, plain_dealloc)
    if (object_dealloc_begin((Object *)op)) {
        Py_TYPE(op)->tp_free(op);
    }
    Py_TRASHCAN_END
}

PyDoc_STRVAR(object_doc,
"Object(name=None, *, parent=None, on_cleanup=None, on_destroy=None)\n--\n\n"
"A node of the ownership tree: it can own any other object and be owned by one.\n\n"
"Deleting an object deletes all below it, in two phases: first every cleanup callback, children\n"
"before parents and siblings in creation order, then every destroy in the same order. A framework\n"
"reference (reference()) delays only its own object's destroy. An object without a parent lives as\n"
"long as Python references to it.\n\n"
"Args:\n"
"    name: shown by repr() and in reports.\n"
"    parent: the owner; fixed for life.\n"
"    on_cleanup: called with the object when its deletion begins.\n"
"    on_destroy: called with the object when nothing holds it any more; only its context may be\n"
"        used then.\n\n"
"Raises:\n"
"    DeletePendingError: the deletion of the parent has begun.\n\n"
"Source: WdfObjectCreate; the framework object life cycle page.\n\n"
"Example:\n"
"    >>> import membuf\n"
"    >>> with membuf.Object('capture') as root:\n"
"    ...     child = membuf.Object('frame', parent=root)\n"
"    >>> child.deleted\n"
"    True\n");

static PyMethodDef object_methods[] = {
    {"add_context", FAST_KEYWORDS(object_add_context),
     "add_context($self, type, *, on_cleanup=None, on_destroy=None)\n--\n\n"
     "Add a typed context and return it; the one already there if the type is present.\n\n"
     "The type is called without arguments; its identity is the key. Source: WdfObjectAllocateContext.\n\n"
     "    >>> import membuf\n"
     "    >>> class Counters:\n"
     "    ...     reads = 0\n"
     "    >>> membuf.Object().add_context(Counters).reads\n"
     "    0\n"},
    {"get_context", (PyCFunction)object_get_context, METH_O,
     "get_context($self, type, /)\n--\n\n"
     "The context of that type, or None. Legal inside a destroy callback.\n\n"
     "Source: WdfObjectGetTypedContext.\n\n"
     "    >>> import membuf\n"
     "    >>> membuf.Object().get_context(dict) is None\n"
     "    True\n"},
    {"reference", FAST_KEYWORDS(object_reference),
     "reference($self, tag=None)\n--\n\n"
     "Take a framework reference: delete() cleans the object up but it stays usable until dereference().\n\n"
     "Source: WdfObjectReference, WdfObjectReferenceWithTag.\n\n"
     "    >>> import membuf\n"
     "    >>> m = membuf.Memory(16)\n"
     "    >>> m.reference(tag='sent'); m.delete(); m.size\n"
     "    16\n"
     "    >>> m.dereference(tag='sent')\n"},
    {"dereference", FAST_KEYWORDS(object_dereference),
     "dereference($self, tag=None)\n--\n\n"
     "Drop a reference taken with the same tag; refused with INVALID_PARAMETER when there is none.\n\n"
     "Source: WdfObjectDereference, WdfObjectDereferenceWithTag.\n\n"
     "    >>> import membuf\n"
     "    >>> o = membuf.Object()\n"
     "    >>> o.reference(); o.dereference(); o.reference_count\n"
     "    1\n"},
    {"delete", (PyCFunction)object_delete, METH_NOARGS,
     "delete($self, /)\n--\n\n"
     "Delete the object and all below it. Ignored while a deletion is under way or a reference holds it.\n\n"
     "Callbacks that raise do not stop the deletion; what they raised comes as an ExceptionGroup.\n"
     "Raises ObjectDeletedError once nothing holds the object. Source: WdfObjectDelete.\n\n"
     "    >>> import membuf\n"
     "    >>> o = membuf.Object(); o.delete(); o.deleted\n"
     "    True\n"},
    {"__enter__", (PyCFunction)object_enter, METH_NOARGS, "__enter__($self, /)\n--\n\nThe object itself."},
    {"__exit__", FAST(object_exit), "__exit__($self, kind, value, traceback, /)\n--\n\nDelete the object."},
    {NULL},
};

static PyGetSetDef object_properties[] = {
    {"name", (getter)object_name, NULL, "What repr() and reports call the object, or None."},
    {"parent", (getter)object_parent, NULL, "The owner, or None; None once deletion has begun."},
    {"children", (getter)object_children, NULL, "What the object owns, in creation order (a tuple)."},
    {"context", (getter)object_context, NULL, "A dictionary that lives as long as the object."},
    {"deleted", (getter)object_deleted, NULL, "Whether deletion has begun (it may wait for references)."},
    {"reference_count", (getter)object_reference_count, NULL,
     "Framework references, the tree's own included: 1 for a live object nobody holds."},
    {NULL},
};

PyTypeObject Object_Type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "membuf._native.Object",
    .tp_basicsize = sizeof(Object),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .tp_doc = object_doc,
    .tp_new = object_new,
    .tp_init = (initproc)object_init,
    .tp_dealloc = plain_dealloc,
    .tp_finalize = object_finalize,
    .tp_traverse = plain_traverse,
    .tp_clear = plain_clear,
    .tp_repr = (reprfunc)object_repr,
    .tp_methods = object_methods,
    .tp_getset = object_properties,
};
