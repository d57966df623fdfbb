/* The module: types, the interface for other native modules, and what the framework's face needs. */
#include "native.h"

static PyObject *need_object(PyObject *op)
{
    if (!Object_Check(op)) {
        PyErr_Format(PyExc_TypeError, "a membuf object is needed, got %.100s", Py_TYPE(op)->tp_name);
        return NULL;
    }
    return op;
}

static PyObject *set_undeletable(PyObject *module, PyObject *op)
{
    if (need_object(op) == NULL) {
        return NULL;
    }
    state_or((Object *)op, UNDELETABLE);
    Py_RETURN_NONE;
}

static PyObject *end_undeletable(PyObject *module, PyObject *op)
{
    if (need_object(op) == NULL) {
        return NULL;
    }
    state_and((Object *)op, ~UNDELETABLE);
    return PyObject_CallMethod(op, "delete", NULL);
}

static PyObject *dereference_untagged(PyObject *module, PyObject *op)
{
    return need_object(op) == NULL ? NULL : object_dereference_any((Object *)op);
}

static PyObject *in_deallocation(PyObject *module, PyObject *unused)
{
    return PyBool_FromLong(object_in_finalizer());
}

static PyObject *hide_sites_below(PyObject *module, PyObject *folder)
{
    return site_hide(folder) < 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *unraisable(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    if (count != 2 || !PyExceptionInstance_Check(args[0])) {
        PyErr_SetString(PyExc_TypeError, "an exception, and where it was raised, are needed");
        return NULL;
    }
    PyErr_SetObject((PyObject *)Py_TYPE(args[0]), args[0]);
    PyErr_WriteUnraisable(args[1]);
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"set_undeletable", set_undeletable, METH_O,
     "set_undeletable($module, object, /)\n--\n\nRefuse delete() on an object: its owner ends it."},
    {"end_undeletable", end_undeletable, METH_O,
     "end_undeletable($module, object, /)\n--\n\nDelete an object that refuses delete(): for its owner."},
    {"dereference_untagged", dereference_untagged, METH_O,
     "dereference_untagged($module, object, /)\n--\n\nDrop one framework reference, whatever its tag."},
    {"in_deallocation", in_deallocation, METH_NOARGS,
     "in_deallocation($module, /)\n--\n\n"
     "Whether a deallocation is what deletes on this thread: no lock may be waited for."},
    {"request_memory", FAST(memory_of_request),
     "request_memory($module, buffer, size, readonly, parent, /)\n--\n\n"
     "A memory object with source 'request' over the first bytes of a request's buffer."},
    {"unraisable", FAST(unraisable),
     "unraisable($module, error, where, /)\n--\n\nReport an error that no caller can receive (`sys.unraisablehook`)."},
    {"hide_sites_below", hide_sites_below, METH_O,
     "hide_sites_below($module, folder, /)\n--\n\nPass over the frames of a folder's files where sites are taken."},
    {NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "membuf._native",
    .m_doc = "The native core: the block store and the hot object types.",
    .m_size = -1,
    .m_methods = functions,
};

static int add_types(PyObject *module)
{
    PyTypeObject *types[] = {&Object_Type, &Memory_Type, &LookasideList_Type, &Block_Type, &Pointer_Type, &Domain_Type};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (PyModule_AddType(module, types[i]) < 0) {
            return -1;
        }
    }
    return 0;
}

PyMODINIT_FUNC PyInit__native(void)
{
    PyObject *module = PyModule_Create(&definition);
    if (module == NULL) {
        return NULL;
    }
#ifdef Py_GIL_DISABLED
    PyUnstable_Module_SetGIL(module, Py_MOD_GIL_NOT_USED);
    PyObject *have_gil = Py_False;
#else
    PyObject *have_gil = Py_True;
#endif
    if (object_prepare_finalizer() < 0 || add_types(module) < 0 || module_add_domain(module) < 0 || module_add_api(module) < 0 ||
        PyModule_AddObjectRef(module, "HAVE_GIL", have_gil) < 0) {
        Py_DECREF(module);
        return NULL;
    }
    return module;
}
