/* Framework references: one count in the state word, and a ledger of who took how many by which tag.
 *
 * Looking a tag up runs the caller's code (its hash, its comparison). So a tag is looked up once,
 * and what is found, a cell with the count, changes with nobody's code in between: the count in the
 * state word is never below what the ledger holds. */
#include "native.h"

/* ---- the count ------------------------------------------------------------------------------------ */

/* No reference on what was destroyed, or on what another thread is about to destroy. */
static MB_RARE int check_hold(Object *self, uint64_t state)
{
    if ((state & REFERENCES_MASK) == REFERENCES_MASK) {
        PyErr_SetString(PyExc_OverflowError, "too many references on one object (2**24 - 1 at most)");
        return -1;
    }
    if ((state & REFERENCES_MASK) == 0 || (state & (DESTROYING | DESTROYED)) != 0) {
        raise_deleted((PyObject *)self, "take a reference");
        return -1;
    }
    return 0;
}

int object_hold(Object *self)
{
    uint64_t old = state_load(self);
    do {
        bool rare = (old & DROPPED) != 0 || (old & REFERENCES_MASK) == REFERENCES_MASK;
        if (rare && check_hold(self, old) < 0) {
            return -1;
        }
    } while (!state_change(&self->state, &old, old + REFERENCE));
    if ((old & REFERENCES_MASK) == 0) {
        Py_INCREF(self); /* one for all framework references together */
    }
    return 0;
}

/* Drops one; the object is destroyed if that was the last thing that kept it. */
static void drop_reference(Object *self, uint64_t site, PyObject **errors)
{
    uint64_t old = state_sub(self, REFERENCE);
    if ((old & REFERENCES_MASK) != REFERENCE) {
        return;
    }
    if ((old & DROPPED) != 0) {
        tree_destroy(self, site, errors);
    }
    Py_DECREF(self);
}

/* From wherever memory goes, deallocation in the middle of an exception included: callbacks that
 * run now must neither see that exception nor replace it. */
static MB_RARE void unhold_deleted(Object *self)
{
    PyObject *kind, *value, *traceback, *errors = NULL;
    PyErr_Fetch(&kind, &value, &traceback);
    Py_INCREF(self);
    drop_reference(self, 0, &errors);
    report_errors(errors, self);
    Py_DECREF(self);
    PyErr_Restore(kind, value, traceback);
}

void object_unhold(Object *self)
{
    PyObject *errors = NULL;
    if ((state_load(self) & DROPPED) != 0) {
        unhold_deleted(self);
    } else {
        drop_reference(self, 0, &errors); /* nothing of it ends, nothing is called */
    }
}

/* ---- the ledger ----------------------------------------------------------------------------------- */

/* A new reference to the tag's cell, a list with one number. NULL without an exception: none. */
static PyObject *find_cell(Object *self, Extras *extras, PyObject *tag, bool make)
{
    PyObject *references = make ? extras_dictionary(self, &extras->references) : extras->references;
    if (references == NULL) {
        return NULL;
    }
    Py_INCREF(references); /* the lookup may end the object */
    PyObject *cell = NULL;
    if (make) {
        PyObject *fresh = Py_BuildValue("[i]", 0);
        cell = fresh == NULL ? NULL : Py_XNewRef(PyDict_SetDefault(references, tag, fresh));
        Py_XDECREF(fresh);
    } else {
        cell = Py_XNewRef(PyDict_GetItemWithError(references, tag));
    }
    Py_DECREF(references);
    return cell;
}

static Py_ssize_t cell_count(PyObject *cell)
{
    return PyLong_AsSsize_t(PyList_GET_ITEM(cell, 0));
}

static int cell_add(PyObject *cell, Py_ssize_t change)
{
    PyObject *count = PyLong_FromSsize_t(cell_count(cell) + change);
    return count == NULL ? -1 : PyList_SetItem(cell, 0, count);
}

static int take_tagged(Object *self, Extras *extras, PyObject *tag)
{
    PyObject *cell = find_cell(self, extras, tag, true);
    int result = cell == NULL ? -1 : object_alive(self, "take a reference");
    result = result < 0 ? -1 : object_hold(self);
    if (result == 0 && cell_add(cell, 1) < 0) {
        object_unhold(self);
        result = -1;
    }
    Py_XDECREF(cell);
    return result;
}

static int take(Object *self, PyObject *tag)
{
    Extras *extras = object_alive(self, "take a reference") < 0 ? NULL : extras_get(self);
    if (extras == NULL) {
        return -1;
    }
    if (tag != Py_None) {
        return take_tagged(self, extras, tag);
    }
    if (object_hold(self) < 0) {
        return -1;
    }
    extras->untagged++;
    return 0;
}

/* Strikes one off the ledger. 1: there was one; 0: none; -1: an exception. */
static int strike_tagged(Object *self, Extras *extras, PyObject *tag)
{
    PyObject *cell = find_cell(self, extras, tag, false);
    int result = cell == NULL ? (PyErr_Occurred() ? -1 : 0) : object_alive(self, "drop a reference");
    if (result == 0 && cell != NULL && cell_count(cell) > 0) {
        result = cell_add(cell, -1) < 0 ? -1 : 1;
    }
    if (result == 1 && cell_count(cell) == 0 && PyDict_DelItem(extras->references, tag) < 0) {
        PyErr_Clear(); /* a tag that compares differently now: an empty cell stays */
    }
    Py_XDECREF(cell);
    return result;
}

static int strike(Object *self, PyObject *tag)
{
    Extras *extras = object_alive(self, "drop a reference") < 0 ? NULL : extras_get(self);
    if (extras == NULL) {
        return -1;
    }
    if (tag != Py_None) {
        return strike_tagged(self, extras, tag);
    }
    if (extras->untagged == 0) {
        return 0;
    }
    extras->untagged--;
    return 1;
}

static int strike_any(Object *self)
{
    int result = strike(self, Py_None);
    PyObject *references = result != 0 ? NULL : self->extras->references;
    PyObject *tag, *cell;
    Py_ssize_t position = 0;
    while (references != NULL && PyDict_Next(references, &position, &tag, &cell)) {
        if (cell_count(cell) > 0) {
            return cell_add(cell, -1) < 0 ? -1 : 1;
        }
    }
    return result;
}

/* ---- methods -------------------------------------------------------------------------------------- */

static const char *const tag_names[] = {"tag", NULL};
static PyObject *tag_interned[1];
static Signature reference_signature = {"reference", tag_names, tag_interned, 1, 0};
static Signature dereference_signature = {"dereference", tag_names, tag_interned, 1, 0};

static PyObject *one_tag(PyObject *const *arguments, Py_ssize_t count, PyObject *keywords, Signature *signature)
{
    PyObject *values[1];
    if (parse_arguments(signature, arguments, count, keywords, values) < 0) {
        return NULL;
    }
    return values[0] == NULL ? Py_None : values[0];
}

PyObject *object_reference(Object *self, PyObject *const *arguments, Py_ssize_t count, PyObject *keywords)
{
    PyObject *tag = one_tag(arguments, count, keywords, &reference_signature);
    int result = -1;
    if (tag != NULL) {
        Py_BEGIN_CRITICAL_SECTION(self);
        result = take(self, tag);
        Py_END_CRITICAL_SECTION();
    }
    return result < 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *drop_struck(Object *self)
{
    PyObject *errors = NULL;
    uint64_t site = site_take();
    Py_INCREF(self);
    drop_reference(self, site, &errors);
    int result = raise_errors(errors, self);
    Py_DECREF(self);
    site_drop(site);
    return result < 0 ? NULL : Py_NewRef(Py_None);
}

PyObject *object_dereference(Object *self, PyObject *const *arguments, Py_ssize_t count, PyObject *keywords)
{
    PyObject *tag = one_tag(arguments, count, keywords, &dereference_signature);
    int struck = -1;
    if (tag != NULL) {
        Py_BEGIN_CRITICAL_SECTION(self);
        struck = strike(self, tag);
        Py_END_CRITICAL_SECTION();
    }
    if (struck == 0) {
        raise_status(STATUS_INVALID_PARAMETER, Py_BuildValue("{sO}", "tag", tag),
                     "dereference(tag=%R) without a reference of that tag on %R", tag, self);
    }
    return struck <= 0 ? NULL : drop_struck(self);
}

/* Any reference that a caller took: what the core holds for itself is not theirs to drop. */
PyObject *object_dereference_any(Object *self)
{
    int struck;
    Py_BEGIN_CRITICAL_SECTION(self);
    struck = strike_any(self);
    Py_END_CRITICAL_SECTION();
    if (struck == 0) {
        raise_status(STATUS_INVALID_PARAMETER, NULL, "%R has no reference to drop", self);
    }
    return struck <= 0 ? NULL : drop_struck(self);
}
