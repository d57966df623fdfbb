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

#define CODE_UNIT 2 /* bytes */
#define INSTRUCTION_SHIFT 48
#define ADDRESS_MASK (((uint64_t)1 << INSTRUCTION_SHIFT) - 1)
#define LAST_INSTRUCTION ((uint64_t)0xFFFF)

static uint64_t pack(PyCodeObject *code, int instruction)
{
    uint64_t address = (uintptr_t)code;
    uint64_t index = instruction < 0 ? 0 : (uint64_t)instruction / CODE_UNIT;
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

uint64_t site_take(void)
{
    _PyInterpreterFrame *frame = PyThreadState_Get()->cframe->current_frame;
    if (frame == NULL) {
        return 0;
    }
    Py_INCREF(frame->f_code);
    return pack(frame->f_code, _PyInterpreterFrame_LASTI(frame) * CODE_UNIT);
}

#elif PY_VERSION_HEX < 0x030E0000

uint64_t site_take(void)
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

uint64_t site_take(void)
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
