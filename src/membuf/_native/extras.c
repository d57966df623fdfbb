/* What few objects carry: a name, contexts, callbacks, references by name. Made when first needed,
 * so that the many that need none stay small. */
#include "native.h"

/* False: another thread was first. */
static bool publish(Object *self, Extras *made)
{
#ifdef Py_GIL_DISABLED
    Extras *none = NULL;
    return __atomic_compare_exchange_n(&self->extras, &none, made, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
#else
    self->extras = made;
    return true;
#endif
}

Extras *extras_get(Object *self)
{
    if (self->extras != NULL) {
        return self->extras;
    }
    Extras *made = PyMem_Calloc(1, sizeof *made);
    if (made == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    if (!publish(self, made)) {
        PyMem_Free(made);
    }
    object_track(self); /* from now on it may be part of a cycle */
    return self->extras;
}

/* The dictionary that `place` points to, made when first needed: borrowed, or NULL with an exception.
 * Making it may run other code, which may have made it too. */
PyObject *extras_dictionary(Object *self, PyObject **place)
{
    if (*place == NULL) {
        PyObject *made = PyDict_New();
        if (made == NULL) {
            return NULL;
        }
        Py_BEGIN_CRITICAL_SECTION(self);
        if (*place == NULL) {
            *place = made;
            made = NULL;
        }
        Py_END_CRITICAL_SECTION();
        Py_XDECREF(made);
    }
    return *place;
}

static int append(Extras *extras, const Hooks *added)
{
    Hooks *hooks = PyMem_Realloc(extras->hooks, (size_t)(extras->hook_count + 1) * sizeof *hooks);
    if (hooks == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    extras->hooks = hooks;
    hooks[extras->hook_count++] = *added;
    Py_XINCREF(added->cleanup);
    Py_XINCREF(added->destroy);
    Py_XINCREF(added->type);
    Py_XINCREF(added->context);
    return 0;
}

int extras_add_hooks(Object *self, PyObject *cleanup, PyObject *destroy, PyObject *type, PyObject *context)
{
    Hooks added = {.cleanup = cleanup, .destroy = destroy, .type = type, .context = context};
    Extras *extras = extras_get(self);
    int result = -1;
    if (extras != NULL) {
        Py_BEGIN_CRITICAL_SECTION(self);
        result = append(extras, &added);
        Py_END_CRITICAL_SECTION();
    }
    return result;
}

/* A new reference to the context of a type, or NULL without an exception. */
PyObject *extras_find_context(Object *self, PyObject *type)
{
    PyObject *found = NULL;
    Py_BEGIN_CRITICAL_SECTION(self);
    Extras *extras = self->extras;
    for (Py_ssize_t i = 0; found == NULL && extras != NULL && i < extras->hook_count; i++) {
        found = extras->hooks[i].type == type ? Py_NewRef(extras->hooks[i].context) : NULL;
    }
    Py_END_CRITICAL_SECTION();
    return found;
}

/* The callback of a place, which is empty from then on: each runs at most once, whatever it does. */
static PyObject *take_callback(Object *self, Py_ssize_t hook, bool destroy)
{
    PyObject *callback = NULL;
    Py_BEGIN_CRITICAL_SECTION(self);
    Extras *extras = self->extras;
    if (extras != NULL && hook < extras->hook_count) {
        PyObject **place = destroy ? &extras->hooks[hook].destroy : &extras->hooks[hook].cleanup;
        callback = *place;
        *place = NULL;
    }
    Py_END_CRITICAL_SECTION();
    return callback;
}

void extras_drop_callbacks(Object *self, Py_ssize_t hook)
{
    Py_XDECREF(take_callback(self, hook, false));
    Py_XDECREF(take_callback(self, hook, true));
}

int extras_traverse(Extras *extras, visitproc visit, void *arg)
{
    Py_VISIT(extras->name); /* of a subclass of str it may be */
    Py_VISIT(extras->context);
    Py_VISIT(extras->references);
    for (Py_ssize_t i = 0; i < extras->hook_count; i++) {
        Py_VISIT(extras->hooks[i].cleanup);
        Py_VISIT(extras->hooks[i].destroy);
        Py_VISIT(extras->hooks[i].type);
        Py_VISIT(extras->hooks[i].context);
    }
    return 0;
}

/* Contexts and callbacks go; the name stays, so that messages can use it. */
static void drop_hooks(Extras *extras)
{
    Hooks *hooks = extras->hooks;
    Py_ssize_t count = extras->hook_count;
    extras->hooks = NULL;
    extras->hook_count = 0;
    for (Py_ssize_t i = 0; i < count; i++) {
        Py_XDECREF(hooks[i].cleanup);
        Py_XDECREF(hooks[i].destroy);
        Py_XDECREF(hooks[i].type);
        Py_XDECREF(hooks[i].context);
    }
    PyMem_Free(hooks);
}

void extras_gone(Object *self)
{
    Extras *extras = self->extras;
    if (extras == NULL) {
        return;
    }
    lists_forget_parent(extras);
    drop_hooks(extras);
    Py_CLEAR(extras->context);
    Py_CLEAR(extras->references);
}

void extras_free(Object *self)
{
    Extras *extras = self->extras;
    if (extras == NULL) {
        return;
    }
    extras_gone(self);
    self->extras = NULL;
    Py_XDECREF(extras->name);
    PyMem_Free(extras);
}

static void note_error(PyObject **errors)
{
    PyObject *kind, *value, *traceback;
    PyErr_Fetch(&kind, &value, &traceback);
    PyErr_NormalizeException(&kind, &value, &traceback);
    if (traceback != NULL) {
        PyException_SetTraceback(value, traceback);
    }
    if (*errors == NULL) {
        *errors = PyList_New(0);
    }
    if (*errors == NULL || PyList_Append(*errors, value) < 0) {
        PyErr_Clear(); /* no memory to report in: the deletion goes on all the same */
    }
    Py_XDECREF(kind);
    Py_XDECREF(value);
    Py_XDECREF(traceback);
}

static void call_once(Object *self, Py_ssize_t hook, bool destroy, PyObject **errors)
{
    PyObject *callback = take_callback(self, hook, destroy);
    if (callback == NULL) {
        return;
    }
    PyObject *result = PyObject_CallOneArg(callback, (PyObject *)self);
    if (result == NULL) {
        note_error(errors);
    }
    Py_XDECREF(result);
    Py_DECREF(callback);
}

/* All contexts in the order they were added. Before a destroy, a cleanup that never ran does. */
void extras_call(Object *self, bool destroy, PyObject **errors)
{
    for (Py_ssize_t i = 0; errors != NULL && self->extras != NULL && i < self->extras->hook_count; i++) {
        call_once(self, i, false, errors);
        if (destroy) {
            call_once(self, i, true, errors);
        }
    }
}
