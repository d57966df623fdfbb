/* Pointers: exporters of another exporter's bytes, which they hold only while viewed. */
#include "native.h"

/* ---- indexing, for pointers and blocks ---------------------------------------------------------------- */

/* A slice is a memoryview: it holds the bytes as long as it lives, the pointer itself does not. */
PyObject *exporter_item(PyObject *self, PyObject *key)
{
    PyObject *view = PyMemoryView_FromObject(self);
    PyObject *item = view == NULL ? NULL : PyObject_GetItem(view, key);
    Py_XDECREF(view);
    return item;
}

int exporter_set_item(PyObject *self, PyObject *key, PyObject *value)
{
    if (value == NULL) {
        PyErr_SetString(PyExc_TypeError, "bytes of a buffer cannot be deleted");
        return -1;
    }
    PyObject *view = PyMemoryView_FromObject(self);
    int result = view == NULL ? -1 : PyObject_SetItem(view, key, value);
    Py_XDECREF(view);
    return result;
}

/* ---- the type ------------------------------------------------------------------------------------------ */

typedef struct {
    PyObject_HEAD
    PyObject *exporter;
} Pointer;

static PyObject *pointer_new(PyTypeObject *type, PyObject *arguments, PyObject *keywords)
{
    PyObject *exporter;
    if ((keywords != NULL && PyDict_GET_SIZE(keywords) != 0) || !PyArg_ParseTuple(arguments, "O:Pointer", &exporter)) {
        if (!PyErr_Occurred()) {
            PyErr_SetString(PyExc_TypeError, "Pointer() takes no keyword arguments");
        }
        return NULL;
    }
    if (!PyObject_CheckBuffer(exporter)) {
        PyErr_Format(PyExc_TypeError, "a buffer exporter is needed, got %.100s", Py_TYPE(exporter)->tp_name);
        return NULL;
    }
    if (Py_IS_TYPE(exporter, &Pointer_Type)) { /* never a chain of them */
        exporter = ((Pointer *)exporter)->exporter;
    }
    Pointer *self = (Pointer *)type->tp_alloc(type, 0);
    if (self != NULL) {
        self->exporter = Py_NewRef(exporter);
    }
    return (PyObject *)self;
}

static int pointer_getbuffer(Pointer *self, Py_buffer *view, int flags)
{
    return PyObject_GetBuffer(self->exporter, view, flags); /* the view belongs to the exporter */
}

static int pointer_extent(Pointer *self, void **address, Py_ssize_t *size)
{
    Py_buffer view;
    if (PyObject_GetBuffer(self->exporter, &view, PyBUF_SIMPLE) < 0) {
        return -1;
    }
    *address = view.buf;
    *size = view.len;
    PyBuffer_Release(&view);
    return 0;
}

static PyObject *pointer_address(Pointer *self, void *closure)
{
    void *address;
    Py_ssize_t size;
    return pointer_extent(self, &address, &size) < 0 ? NULL : PyLong_FromVoidPtr(address);
}

static Py_ssize_t pointer_length(Pointer *self)
{
    void *address;
    Py_ssize_t size;
    return pointer_extent(self, &address, &size) < 0 ? -1 : size;
}

static PyObject *pointer_size(Pointer *self, void *closure)
{
    Py_ssize_t size = pointer_length(self);
    return size < 0 ? NULL : PyLong_FromSsize_t(size);
}

static PyObject *pointer_repr(Pointer *self)
{
    return PyUnicode_FromFormat("<membuf.Pointer to %R>", self->exporter);
}

static int pointer_traverse(Pointer *self, visitproc visit, void *arg)
{
    Py_VISIT(self->exporter);
    return 0;
}

static int pointer_clear(Pointer *self)
{
    return 0; /* an exporter always: cycles end at the other objects */
}

static void pointer_dealloc(Pointer *self)
{
    PyObject_GC_UnTrack(self);
    Py_XDECREF(self->exporter);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyBufferProcs pointer_buffer = {.bf_getbuffer = (getbufferproc)pointer_getbuffer};
static PyMappingMethods pointer_mapping = {
    .mp_length = (lenfunc)pointer_length,
    .mp_subscript = exporter_item,
    .mp_ass_subscript = exporter_set_item,
};
static PyGetSetDef pointer_properties[] = {
    {"address", (getter)pointer_address, NULL, "Where the bytes are."},
    {"size", (getter)pointer_size, NULL, "Bytes."},
    {NULL},
};

PyDoc_STRVAR(pointer_doc,
"Pointer(exporter, /)\n--\n\n"
"A pointer to another exporter's bytes: it holds them only while a view of it is open.\n\n"
"Example:\n"
"    >>> import membuf._native\n"
"    >>> p = membuf._native.Pointer(bytearray(b'abc'))\n"
"    >>> p[0], p.size\n"
"    (97, 3)\n");

PyTypeObject Pointer_Type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "membuf._native.Pointer",
    .tp_basicsize = sizeof(Pointer),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .tp_doc = pointer_doc,
    .tp_new = pointer_new,
    .tp_dealloc = (destructor)pointer_dealloc,
    .tp_traverse = (traverseproc)pointer_traverse,
    .tp_clear = (inquiry)pointer_clear,
    .tp_repr = (reprfunc)pointer_repr,
    .tp_as_buffer = &pointer_buffer,
    .tp_as_mapping = &pointer_mapping,
    .tp_getset = pointer_properties,
};
