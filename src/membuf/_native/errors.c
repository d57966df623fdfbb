/* Statuses become exceptions here, and only here. */
#include "native.h"

/* By interned names: a new string at each call would fill the interpreter's cache of attributes. */
PyObject *from_module(const char *module_name, const char *name)
{
    PyObject *module = PyImport_ImportModule(module_name);
    PyObject *key = module == NULL ? NULL : PyUnicode_InternFromString(name);
    PyObject *found = key == NULL ? NULL : PyObject_GetAttr(module, key);
    Py_XDECREF(key);
    Py_XDECREF(module);
    return found;
}

static PyObject *new_exception(uint32_t status, PyObject *operands, PyObject *bugcheck, const char *format,
                               va_list arguments)
{
    if (PyErr_Occurred()) {
        return NULL; /* there was no memory for the operands: that is the error then */
    }
    PyObject *message = PyUnicode_FromFormatV(format, arguments);
    PyObject *converter = message == NULL ? NULL : from_module("membuf.base.errors", "from_status");
    PyObject *exception = NULL;
    if (converter != NULL) {
        exception = PyObject_CallFunction(converter, "kOOO", (unsigned long)status, message,
                                          operands == NULL ? Py_None : operands,
                                          bugcheck == NULL ? Py_None : bugcheck);
    }
    Py_XDECREF(converter);
    Py_XDECREF(message);
    return exception;
}

static PyObject *raise_from(uint32_t status, PyObject *operands, PyObject *bugcheck, const char *format,
                            va_list arguments)
{
    PyObject *exception = new_exception(status, operands, bugcheck, format, arguments);
    if (exception != NULL) {
        PyErr_SetObject((PyObject *)Py_TYPE(exception), exception);
        Py_DECREF(exception);
    }
    return NULL;
}

PyObject *raise_status(uint32_t status, PyObject *operands, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    raise_from(status, operands, NULL, format, arguments);
    va_end(arguments);
    Py_XDECREF(operands);
    return NULL;
}

PyObject *raise_bugcheck(uint32_t status, uint32_t code, uint64_t p1, uint64_t p2, uint64_t p3, uint64_t p4,
                         const char *format, ...)
{
    PyObject *bugcheck = Py_BuildValue("(kKKKK)", (unsigned long)code, (unsigned long long)p1,
                                       (unsigned long long)p2, (unsigned long long)p3, (unsigned long long)p4);
    if (bugcheck != NULL) {
        va_list arguments;
        va_start(arguments, format);
        raise_from(status, NULL, bugcheck, format, arguments);
        va_end(arguments);
        Py_DECREF(bugcheck);
    }
    return NULL;
}

PyObject *raise_store(mb_result result, mb_domain *store, size_t size)
{
    mb_figures figures;
    mb_domain_figures(store, &figures);
    unsigned long long in_use = figures.charged_bytes, limit = figures.limit;
    PyObject *operands = Py_BuildValue("{sK sK sK}", "needed", (unsigned long long)size, "in_use", in_use,
                                       "limit", limit);
    if (operands == NULL) {
        return NULL;
    }
    switch (result) {
    case MB_OVER_LIMIT:
        return raise_status(STATUS_INSUFFICIENT_RESOURCES, operands,
                            "%zu bytes asked for, %llu of the domain's limit of %llu in use; "
                            "free blocks or raise the limit (set_limit)",
                            size, in_use, limit);
    case MB_NOT_LOCKED:
        return raise_status(STATUS_INSUFFICIENT_RESOURCES, operands,
                            "%zu bytes of non-paged memory asked for, the system refused to lock them; raise "
                            "RLIMIT_MEMLOCK, use PAGED, or a domain with locked='best-effort'",
                            size);
    case MB_INJECTED:
        return raise_status(STATUS_INSUFFICIENT_RESOURCES, operands,
                            "%zu bytes asked for, refused by an injected fault", size);
    default:
        return raise_status(STATUS_INSUFFICIENT_RESOURCES, operands,
                            "%zu bytes asked for, the system has no memory for them", size);
    }
}
