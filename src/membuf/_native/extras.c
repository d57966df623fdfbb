/* What few objects carry: a name, contexts, callbacks, references by name. Made when first needed,
 * so that the many that need none stay small. */
#include "native.h"

Extras *extras_get(Object *self)
{
    if (self->extras == NULL) {
        self->extras = PyMem_Calloc(1, sizeof *self->extras);
        if (self->extras == NULL) {
            PyErr_NoMemory();
            return NULL;
        }
        object_track(self); /* from now on it may be part of a cycle */
    }
    return self->extras;
}

int extras_add_hooks(Object *self, PyObject *cleanup, PyObject *destroy, PyObject *type, PyObject *context)
{
    Extras *extras = extras_get(self);
    if (extras == NULL) {
        return -1;
    }
    Hooks *hooks = PyMem_Realloc(extras->hooks, (size_t)(extras->hook_count + 1) * sizeof *hooks);
    if (hooks == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    extras->hooks = hooks;
    hooks[extras->hook_count++] = (Hooks){
        .cleanup = Py_XNewRef(cleanup),
        .destroy = Py_XNewRef(destroy),
        .type = Py_XNewRef(type),
        .context = Py_XNewRef(context),
    };
    return 0;
}

void extras_drop_callbacks(Object *self, Py_ssize_t hook)
{
    if (self->extras != NULL && hook < self->extras->hook_count) {
        PyObject *cleanup = self->extras->hooks[hook].cleanup, *destroy = self->extras->hooks[hook].destroy;
        self->extras->hooks[hook].cleanup = self->extras->hooks[hook].destroy = NULL;
        Py_XDECREF(cleanup);
        Py_XDECREF(destroy);
    }
}

int extras_traverse(Extras *extras, visitproc visit, void *arg)
{
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
    while (extras->lists != NULL) {
        LookasideList *list = extras->lists;
        extras->lists = list->next_of_parent;
        list->memory_parent = NULL;
        list->next_of_parent = NULL;
    }
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

/* Takes the callback out of its place first: each runs at most once, whatever it does. */
static void call_once(Object *self, PyObject **place, PyObject **errors)
{
    PyObject *callback = *place;
    *place = NULL;
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
        call_once(self, &self->extras->hooks[i].cleanup, errors);
        if (destroy && i < self->extras->hook_count) {
            call_once(self, &self->extras->hooks[i].destroy, errors);
        }
    }
}
