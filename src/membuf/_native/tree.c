/* The ownership tree: attaching, and the two-phase deletion of a subtree.
 *
 * Phase A cleans up, children before parents and siblings in creation order; nothing leaves the
 * tree. Phase B destroys in the same order and takes the tree apart. Both walk with the parent
 * pointers as their stack: no recursion, no allocation, whatever the depth.
 *
 * What keeps the walk safe from callbacks: an object that is frozen accepts no child, and a child
 * of a frozen parent cannot leave its ring; its own delete() only leaves a mark. So the rings the
 * walker stands in do not change under it.
 *
 * Free-threaded builds: one lock a parent (striped by its address) guards its ring and its
 * freezing. Two are never held together, and none while Python code runs. */
#include "native.h"

#ifdef Py_GIL_DISABLED
#define STRIPES 64
static PyMutex stripes[STRIPES];
static PyMutex *stripe_of(Object *parent)
{
    return &stripes[((uintptr_t)parent >> 6) % STRIPES];
}
#define lock_ring(parent) PyMutex_Lock(stripe_of(parent))
#define unlock_ring(parent) PyMutex_Unlock(stripe_of(parent))
#else
#define lock_ring(parent) ((void)(parent))
#define unlock_ring(parent) ((void)(parent))
#endif

/* ---- rings -------------------------------------------------------------------------------------- */

static void ring_append(Object *parent, Object *child)
{
    Object *first = parent->child;
    child->parent = parent;
    if (first == NULL) {
        child->previous = child->next = child;
        parent->child = child;
        return;
    }
    Object *last = first->previous;
    child->previous = last;
    child->next = first;
    last->next = child;
    first->previous = child;
}

static void ring_remove(Object *parent, Object *child)
{
    if (child->next == child) {
        parent->child = NULL;
    } else {
        child->previous->next = child->next;
        child->next->previous = child->previous;
        if (parent->child == child) {
            parent->child = child->next;
        }
    }
    child->parent = child->previous = child->next = NULL;
}

static bool freeze(Object *self, uint64_t bits)
{
    lock_ring(self);
    bool first = (state_or(self, bits) & FROZEN) == 0;
    unlock_ring(self);
    return first;
}

/* What is given as a child to a part of a request is the request's. */
static int attach_to_request(Object *part, Object *child)
{
    PyObject *request = tree_parent(part);
    int result = request == Py_None ? 1 : tree_attach((Object *)request, child);
    Py_DECREF(request);
    return result;
}

int tree_attach(Object *parent, Object *child)
{
    if (object_alive(parent, "own a new object") < 0) {
        return -1;
    }
    if (Py_IS_TYPE((PyObject *)parent, &Memory_Type) && exported_is_embedded((Memory *)parent)) {
        int result = attach_to_request(parent, child);
        if (result <= 0) {
            return result;
        }
    }
    lock_ring(parent);
    bool refused = (state_load(parent) & FROZEN) != 0;
    if (!refused) {
        ring_append(parent, child);
        Py_INCREF(child);
    }
    unlock_ring(parent);
    if (refused) {
        raise_status(STATUS_DELETE_PENDING, NULL,
                     "the deletion of the parent %R has begun: it takes no new children", parent);
        return -1;
    }
    if ((state_load(child) & TRACKED) != 0) {
        object_track(parent);
    }
    return 0;
}

/* The deletion begins: DELETE_CALLED is set and the object leaves its parent. False: somebody else
 * deletes it, or its parent will. On true the caller owns a reference. */
static bool begin_delete(Object *self)
{
    Object *parent = self->parent;
    if (parent == NULL) {
        if (!freeze(self, DELETE_CALLED)) {
            return false;
        }
        Py_INCREF(self);
        return true;
    }
    lock_ring(parent);
    bool mine = self->parent == parent && (state_load(parent) & FROZEN) == 0;
    bool first = (state_or(self, DELETE_CALLED) & FROZEN) == 0;
    mine = mine && first;
    if (mine) {
        ring_remove(parent, self); /* the ring's reference is the caller's now */
    }
    unlock_ring(parent);
    return mine;
}

/* The same for what has no child, callback or reference: nothing will be walked or called. */
bool tree_leave(Object *self, uint64_t end)
{
#ifdef Py_GIL_DISABLED
    return false; /* another thread may take a reference between the question and the answer */
#endif
    uint64_t busy = FROZEN | UNDELETABLE | REFERENCES_MASK;
    if (self->child != NULL || self->extras != NULL || (state_load(self) & busy) != 0) {
        return false;
    }
    if (self->parent == NULL && freeze(self, end)) {
        return true;
    }
    if (self->parent == NULL || !begin_delete(self)) {
        return false;
    }
    state_or(self, end);
    Py_DECREF(self); /* the ring's reference; the caller of delete has its own */
    return true;
}

/* ---- phase A: cleanup ------------------------------------------------------------------------------ */

/* Freezes on the way down; the first object found without children is cleaned up first. */
static Object *descend(Object *at)
{
    freeze(at, DISPOSING);
    while (at->child != NULL) {
        at = at->child;
        freeze(at, DISPOSING);
    }
    return at;
}

static void dispose_subtree(Object *root, PyObject **errors)
{
    Object *at = descend(root);
    for (;;) {
        extras_call(at, false, errors);
        state_or(at, DISPOSED);
        if (at == root) {
            return;
        }
        Object *parent = at->parent;
        at = at->next == parent->child ? parent : descend(at->next);
    }
}

/* ---- phase B: destroy ------------------------------------------------------------------------------ */

static void destroy_object(Object *self, uint64_t site, PyObject **errors)
{
    state_or(self, DESTROYING);
    extras_call(self, true, errors);
    state_or(self, DESTROYED);
    self->deleted_site = site_share(site);
    type_release(self);
    extras_gone(self);
}

/* The tree's own reference goes; with no other left the object is destroyed. */
static void drop(Object *self, uint64_t site, PyObject **errors)
{
    uint64_t old = state_or(self, DROPPED);
    if ((old & REFERENCES_MASK) == 0) {
        destroy_object(self, site, errors);
    }
}

/* Memory of a pool or list that only the ring still holds, with nothing to call: freeing it does all
 * that drop does. */
static bool ends_with_its_ring(Object *self)
{
#ifdef Py_GIL_DISABLED
    return false; /* another thread may be about to take a reference */
#else
    return Py_REFCNT(self) == 1 && Py_IS_TYPE((PyObject *)self, &Memory_Type) && self->extras == NULL &&
           ((Memory *)self)->block != NULL;
#endif
}

static void destroy_subtree(Object *root, uint64_t site, PyObject **errors)
{
    Object *at = root;
    for (;;) {
        while (at->child != NULL) {
            at = at->child;
        }
        if (at == root) {
            drop(at, site, errors);
            return;
        }
        Object *parent = at->parent;
        lock_ring(parent);
        ring_remove(parent, at);
        unlock_ring(parent);
        if (!ends_with_its_ring(at)) {
            drop(at, site, errors);
        }
        Py_DECREF(at);
        at = parent;
    }
}

void tree_delete(Object *self, uint64_t site, PyObject **errors)
{
    if (!begin_delete(self)) {
        return;
    }
    if (self->child == NULL && self->extras == NULL) { /* most objects: nothing to call, nothing below */
        state_or(self, DISPOSING | DISPOSED);
        drop(self, site, errors);
    } else {
        dispose_subtree(self, errors);
        destroy_subtree(self, site, errors);
    }
    Py_DECREF(self);
}

/* The count of references came to zero: after a delete this is the end; without one the object is
 * cleaned up and destroyed all the same, which the framework calls an error of its user. */
void tree_destroy(Object *self, uint64_t site, PyObject **errors)
{
    destroy_object(self, site, errors);
}

/* ---- looking ------------------------------------------------------------------------------------ */

PyObject *tree_parent(Object *self)
{
    PyObject *found = NULL;
    if ((state_load(self) & FROZEN) == 0 && self->parent != NULL) {
        Object *parent = self->parent;
        lock_ring(parent); /* while self stands in its ring a parent is not freed, yet it may be dying */
        if (self->parent == parent) {
            found = try_newref((PyObject *)parent);
        }
        unlock_ring(parent);
    }
    return found == NULL ? Py_NewRef(Py_None) : found;
}

static Py_ssize_t count_children(Object *self)
{
    Py_ssize_t count = 0;
    Object *child = self->child;
    while (child != NULL) {
        count++;
        child = child->next == self->child ? NULL : child->next;
    }
    return count;
}

PyObject *tree_children(Object *self)
{
    for (;;) {
        lock_ring(self);
        Py_ssize_t count = count_children(self);
        unlock_ring(self);
        PyObject *children = PyTuple_New(count); /* may run other code: count again before filling */
        if (children == NULL) {
            return NULL;
        }
        lock_ring(self);
        bool same = count_children(self) == count;
        Object *child = self->child;
        for (Py_ssize_t i = 0; same && i < count; i++, child = child->next) {
            PyTuple_SET_ITEM(children, i, Py_NewRef((PyObject *)child));
        }
        unlock_ring(self);
        if (same) {
            return children;
        }
        Py_DECREF(children);
    }
}

/* As one group; what could not be kept for want of memory is a MemoryError. */
int raise_errors(PyObject *errors, Object *self)
{
    if (errors == NULL) {
        return 0;
    }
    if (PyList_GET_SIZE(errors) == 0) {
        Py_DECREF(errors);
        PyErr_NoMemory();
        return -1;
    }
    PyObject *message = PyUnicode_FromFormat("callbacks raised while %R was deleted", self);
    PyObject *group = message == NULL
                          ? NULL
                          : PyObject_CallFunctionObjArgs(PyExc_BaseExceptionGroup, message, errors, NULL);
    Py_XDECREF(message);
    Py_DECREF(errors);
    if (group != NULL) {
        PyErr_SetObject((PyObject *)Py_TYPE(group), group);
        Py_DECREF(group);
    }
    return -1;
}

/* Where no caller can receive them. */
void report_errors(PyObject *errors, Object *self)
{
    if (raise_errors(errors, self) < 0) {
        PyErr_WriteUnraisable((PyObject *)self);
    }
}
