/* Where a block was taken: the running frame's code object and instruction in one word, resolved to
 * a line only when somebody asks. The code object is held; the upper 16 bits are the instruction. */
#include <patchlevel.h>
#if PY_VERSION_HEX < 0x030C0000
#define Py_BUILD_CORE 1 /* 3.11 has no other way to read the frame without making a frame object */
#include <Python.h>
#include <internal/pycore_frame.h>
#undef Py_BUILD_CORE
#endif
#include "native.h"

#include <string.h>

#define CODE_UNIT 2 /* bytes */
#define INSTRUCTION_SHIFT 48
#define ADDRESS_MASK (((uint64_t)1 << INSTRUCTION_SHIFT) - 1)
#define LAST_INSTRUCTION ((uint64_t)0xFFFF)

static uint64_t pack(PyCodeObject *code, int instruction)
{
    uint64_t address = (uintptr_t)code;
    uint64_t index = (unsigned)instruction / CODE_UNIT;
    if ((address & ~ADDRESS_MASK) != 0) {
        Py_DECREF(code); /* no room beside the address: better no site than a wrong one */
        return 0;
    }
    return address | (index > LAST_INSTRUCTION ? LAST_INSTRUCTION : index) << INSTRUCTION_SHIFT;
}

static PyCodeObject *code_of(uint64_t site)
{
    return (PyCodeObject *)(uintptr_t)(site & ADDRESS_MASK);
}

#if PY_VERSION_HEX < 0x030C0000

static uint64_t take_top(void)
{
    _PyInterpreterFrame *frame = PyThreadState_Get()->cframe->current_frame;
    if (frame == NULL) {
        return 0;
    }
    Py_INCREF(frame->f_code);
    return pack(frame->f_code, _PyInterpreterFrame_LASTI(frame) * CODE_UNIT);
}

#elif PY_VERSION_HEX < 0x030E0000

static uint64_t take_top(void)
{
#if PY_VERSION_HEX < 0x030D0000
    struct _PyInterpreterFrame *frame = PyThreadState_Get()->cframe->current_frame;
#else
    struct _PyInterpreterFrame *frame = PyThreadState_Get()->current_frame;
#endif
    if (frame == NULL) {
        return 0;
    }
    PyObject *code = PyUnstable_InterpreterFrame_GetCode(frame);
    if (!PyCode_Check(code)) {
        Py_DECREF(code);
        return 0;
    }
    return pack((PyCodeObject *)code, PyUnstable_InterpreterFrame_GetLasti(frame));
}

#else

static uint64_t take_top(void)
{
    PyFrameObject *frame = PyThreadState_GetFrame(PyThreadState_Get());
    if (frame == NULL) {
        return 0;
    }
    uint64_t site = pack(PyFrame_GetCode(frame), PyFrame_GetLasti(frame));
    Py_DECREF(frame);
    return site;
}

#endif

/* Frames of these files stand between the caller and the core: the caller is who allocates. */
static char hidden[4096];
static size_t hidden_length;

int site_hide(PyObject *folder)
{
    Py_ssize_t length;
    const char *path = PyUnicode_AsUTF8AndSize(folder, &length);
    if (path == NULL) {
        return -1;
    }
    if ((size_t)length > sizeof hidden) {
        PyErr_Format(PyExc_ValueError, "the path has %zd bytes, at most %zu can be hidden", length, sizeof hidden);
        return -1;
    }
    memcpy(hidden, path, (size_t)length);
    hidden_length = (size_t)length;
    return 0;
}

static bool has_hidden_path(PyObject *file)
{
    return (size_t)PyUnicode_GET_LENGTH(file) > hidden_length && PyUnicode_IS_ASCII(file) &&
           memcmp(PyUnicode_1BYTE_DATA(file), hidden, hidden_length) == 0;
}

#ifdef Py_GIL_DISABLED
#define is_hidden(code) has_hidden_path((code)->co_filename)
#else
static bool is_hidden(PyCodeObject *code)
{
    static PyObject *visible; /* the file asked about last: its text is compared once, not a million times */
    if (code->co_filename == visible) {
        return false;
    }
    if (has_hidden_path(code->co_filename)) {
        return true;
    }
    Py_XSETREF(visible, Py_NewRef(code->co_filename));
    return false;
}
#endif

/* The first frame outside the hidden files; their own innermost one if there is none. */
static uint64_t take_caller(uint64_t innermost)
{
    PyFrameObject *frame = PyThreadState_GetFrame(PyThreadState_Get());
    while (frame != NULL) {
        PyCodeObject *code = PyFrame_GetCode(frame);
        if (!is_hidden(code)) {
            site_drop(innermost);
            innermost = pack(code, PyFrame_GetLasti(frame));
            Py_DECREF(frame);
            return innermost;
        }
        Py_DECREF(code);
        PyFrameObject *caller = PyFrame_GetBack(frame);
        Py_DECREF(frame);
        frame = caller;
    }
    return innermost;
}

uint64_t site_take(void)
{
    uint64_t site = take_top();
    bool ours = site != 0 && hidden_length != 0 && is_hidden(code_of(site));
    return ours ? take_caller(site) : site;
}

uint64_t site_share(uint64_t site)
{
    Py_XINCREF(code_of(site));
    return site;
}

void site_drop(uint64_t site)
{
    Py_XDECREF(code_of(site));
}

PyObject *site_text(uint64_t site)
{
    PyCodeObject *code = code_of(site);
    if (code == NULL) {
        Py_RETURN_NONE;
    }
    int instruction = (int)(site >> INSTRUCTION_SHIFT) * CODE_UNIT;
    return PyUnicode_FromFormat("%U:%d in %U", code->co_filename, PyCode_Addr2Line(code, instruction), code->co_name);
}
