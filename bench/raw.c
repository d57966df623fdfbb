/* What the benchmarks need beside Python: a byte written to every page of a buffer, and memcpy
 * without an interpreter around it. Compiled by raw.py, never installed. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#define PAGE 4096

static PyObject *touch(PyObject *module, PyObject *exporter)
{
    Py_buffer buffer;
    if (PyObject_GetBuffer(exporter, &buffer, PyBUF_WRITABLE) < 0) {
        return NULL;
    }
    volatile char *bytes = buffer.buf;
    for (Py_ssize_t offset = 0; offset < buffer.len; offset += PAGE) {
        bytes[offset] = 1;
    }
    PyBuffer_Release(&buffer);
    Py_RETURN_NONE;
}

static int copy_many(Py_buffer *to, Py_ssize_t offset, Py_buffer *from, long count)
{
    if (offset < 0 || offset > to->len || from->len > to->len - offset) {
        PyErr_SetString(PyExc_ValueError, "the source does not fit");
        return -1;
    }
    for (long i = 0; i < count; i++) {
        memcpy((char *)to->buf + offset, from->buf, (size_t)from->len);
        __asm__ volatile("" ::: "memory"); /* every one of them is made */
    }
    return 0;
}

static PyObject *copy(PyObject *module, PyObject *arguments)
{
    Py_buffer to, from;
    Py_ssize_t offset;
    long count;
    if (!PyArg_ParseTuple(arguments, "w*ny*l", &to, &offset, &from, &count)) {
        return NULL;
    }
    int result = copy_many(&to, offset, &from, count);
    PyBuffer_Release(&to);
    PyBuffer_Release(&from);
    return result < 0 ? NULL : Py_NewRef(Py_None);
}

static PyMethodDef methods[] = {
    {"touch", touch, METH_O, "touch(buffer): write a byte to each of its pages."},
    {"copy", copy, METH_VARARGS, "copy(to, offset, from, count): memcpy, count times."},
    {NULL},
};

static PyModuleDef_Slot slots[] = {
#ifdef Py_GIL_DISABLED
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, .m_name = "raw", .m_methods = methods, .m_slots = slots};

PyMODINIT_FUNC PyInit_raw(void)
{
    return PyModuleDef_Init(&definition);
}
