/* Arguments from Python: one converter for each kind, none of which turns 2.7 into 2. */
#include "native.h"

#include <string.h>

/* ---- argument lists ---------------------------------------------------------------------------- */

static Py_ssize_t index_of(Signature *signature, PyObject *keyword)
{
    for (Py_ssize_t i = 0; signature->names[i] != NULL; i++) {
        if (signature->interned[i] == keyword) {
            return i;
        }
    }
    for (Py_ssize_t i = 0; signature->names[i] != NULL; i++) {
        if (PyUnicode_CompareWithASCIIString(keyword, signature->names[i]) == 0) {
            return i;
        }
    }
    return -1;
}

/* Names are interned once, so that a keyword is found by its address. */
static int intern_names(Signature *signature)
{
    Py_ssize_t count = 0;
    for (Py_ssize_t i = 0; signature->names[i] != NULL; i++) {
        if (signature->interned[i] == NULL) {
            signature->interned[i] = PyUnicode_InternFromString(signature->names[i]);
            if (signature->interned[i] == NULL) {
                return -1;
            }
        }
        count++;
    }
    __atomic_store_n(&signature->count, count, __ATOMIC_RELEASE); /* last: an attempt that failed half-way is made again */
    return 0;
}

static int take_keyword(Signature *signature, PyObject *keyword, PyObject *value, PyObject **values)
{
    if (!PyUnicode_Check(keyword)) {
        PyErr_SetString(PyExc_TypeError, "keywords must be strings");
        return -1;
    }
    Py_ssize_t index = index_of(signature, keyword);
    if (index < 0) {
        PyErr_Format(PyExc_TypeError, "%s() got an unexpected keyword argument '%U'", signature->function, keyword);
        return -1;
    }
    if (values[index] != NULL) {
        PyErr_Format(PyExc_TypeError, "%s() got multiple values for argument '%U'", signature->function, keyword);
        return -1;
    }
    values[index] = value;
    return 0;
}

static int begin(Signature *signature, Py_ssize_t count, PyObject **values)
{
    if (__atomic_load_n(&signature->count, __ATOMIC_ACQUIRE) == 0 && intern_names(signature) < 0) {
        return -1;
    }
    memset(values, 0, (size_t)signature->count * sizeof *values);
    if (count > signature->positional) {
        PyErr_Format(PyExc_TypeError, "%s() takes at most %zd positional argument%s, got %zd", signature->function,
                     signature->positional, signature->positional == 1 ? "" : "s", count);
        return -1;
    }
    return 0;
}

static int check_required(Signature *signature, PyObject **values)
{
    for (Py_ssize_t i = 0; i < signature->required; i++) {
        if (values[i] == NULL) {
            PyErr_Format(PyExc_TypeError, "%s() missing required argument '%s'", signature->function,
                         signature->names[i]);
            return -1;
        }
    }
    return 0;
}

int parse_arguments(Signature *signature, PyObject *const *arguments, Py_ssize_t count, PyObject *keywords,
                    PyObject **values)
{
    if (begin(signature, count, values) < 0) {
        return -1;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        values[i] = arguments[i];
    }
    Py_ssize_t keyword_count = keywords == NULL ? 0 : PyTuple_GET_SIZE(keywords);
    for (Py_ssize_t i = 0; i < keyword_count; i++) {
        if (take_keyword(signature, PyTuple_GET_ITEM(keywords, i), arguments[count + i], values) < 0) {
            return -1;
        }
    }
    return check_required(signature, values);
}

int parse_new_arguments(Signature *signature, PyObject *arguments, PyObject *keywords, PyObject **values)
{
    Py_ssize_t count = PyTuple_GET_SIZE(arguments);
    if (begin(signature, count, values) < 0) {
        return -1;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        values[i] = PyTuple_GET_ITEM(arguments, i);
    }
    PyObject *key, *value;
    Py_ssize_t position = 0;
    while (keywords != NULL && PyDict_Next(keywords, &position, &key, &value)) {
        if (take_keyword(signature, key, value, values) < 0) {
            return -1;
        }
    }
    return check_required(signature, values);
}

/* ---- numbers ------------------------------------------------------------------------------------ */

static int size_from_long(PyObject *number, const char *name, size_t *out)
{
    int overflow;
    long long value = PyLong_AsLongLongAndOverflow(number, &overflow);
    if (value == -1 && overflow == 0 && PyErr_Occurred()) {
        return -1;
    }
    if (overflow > 0) { /* 2**63 and above: as large as can be, so that it fails where a size does */
        *out = PyLong_AsSize_t(number);
        if (*out == (size_t)-1 && PyErr_Occurred()) {
            PyErr_Clear();
            *out = SIZE_MAX;
        }
        return 0;
    }
    if (overflow < 0 || value < 0) {
        raise_status(STATUS_INVALID_PARAMETER, Py_BuildValue("{sO}", name, number),
                     "%s must not be negative, got %R", name, number);
        return -1;
    }
    *out = (size_t)value;
    return 0;
}

int convert_size(PyObject *value, const char *name, size_t *out)
{
    if (PyLong_CheckExact(value)) {
        return small_size(value, out) ? 0 : size_from_long(value, name, out);
    }
    if (PyBool_Check(value) || !PyIndex_Check(value)) {
        PyErr_Format(PyExc_TypeError, "%s must be an integer (bytes), got %.100s", name, Py_TYPE(value)->tp_name);
        return -1;
    }
    PyObject *number = PyNumber_Index(value);
    if (number == NULL) {
        return -1;
    }
    int result = size_from_long(number, name, out);
    Py_DECREF(number);
    return result;
}

int convert_alignment(PyObject *value, size_t *out)
{
    *out = MB_NATURAL_ALIGNMENT;
    if (value == NULL || value == Py_None) {
        return 0;
    }
    size_t alignment;
    if (convert_size(value, "alignment", &alignment) < 0) {
        return -1;
    }
    if (alignment == 0 || (alignment & (alignment - 1)) != 0) {
        raise_status(STATUS_INVALID_PARAMETER, Py_BuildValue("{sO}", "alignment", value),
                     "alignment must be a power of two, got %R", value);
        return -1;
    }
    if (alignment > MB_NATURAL_ALIGNMENT) {
        *out = alignment;
    }
    return 0;
}

int convert_flag(PyObject *value, const char *name, bool *out)
{
    *out = value == Py_True;
    if (value == NULL || PyBool_Check(value)) {
        return 0;
    }
    PyErr_Format(PyExc_TypeError, "%s must be True or False, got %.100s", name, Py_TYPE(value)->tp_name);
    return -1;
}

/* ---- pool and tag --------------------------------------------------------------------------------- */

/* POOL_TYPE of the framework: paged is 1, 5 with cache alignment, 256 more where cold. */
int convert_pool(PyObject *value, mb_pool *out)
{
    *out = MB_NONPAGED;
    if (value == NULL || value == Py_None) {
        return 0;
    }
    if (!PyLong_Check(value) || PyBool_Check(value)) {
        PyErr_Format(PyExc_TypeError, "pool must be NONPAGED or PAGED, got %.100s", Py_TYPE(value)->tp_name);
        return -1;
    }
    long number = PyLong_AsLong(value);
    if (number == -1 && PyErr_Occurred()) {
        return -1;
    }
    if (number != 512 && number != 1) {
        raise_status(STATUS_INVALID_PARAMETER, Py_BuildValue("{sO}", "pool", value),
                     "pool must be NONPAGED (512) or PAGED (1), got %R", value);
        return -1;
    }
    *out = number == 1 ? MB_PAGED : MB_NONPAGED;
    return 0;
}

PyObject *pool_number(mb_pool pool)
{
    return PyLong_FromLong(pool == MB_PAGED ? 1 : 512);
}

static int bad_tag(PyObject *value, uint32_t tag, uint32_t sub_code, const char *rule)
{
    raise_bugcheck(STATUS_INVALID_PARAMETER, 0xC2, sub_code, tag, 0, 0, "tag %R: %s", value, rule);
    return -1;
}

static int check_tag(PyObject *value, uint32_t tag)
{
    bool letter = false, ended = false;
    for (int shift = 0; shift < 32; shift += 8) {
        unsigned char c = (unsigned char)(tag >> shift);
        if (c == 0) {
            ended = true;
        } else if (ended || c < 0x20 || c > 0x7E) {
            return bad_tag(value, tag, 0x9D, "expected 1 to 4 characters from ' ' to '~'");
        }
        letter = letter || Py_ISALNUM(c);
    }
    if (tag == 0) {
        return bad_tag(value, tag, 0x9B, "expected 1 to 4 characters, got none");
    }
    if (!letter) {
        return bad_tag(value, tag, 0x9D, "expected at least one letter or digit");
    }
    if ((tag & 0xFFFFFF) == 0x474942 && (tag >> 24 == 0 || tag >> 24 == ' ')) {
        return bad_tag(value, tag, 0x9C, "'BIG' is reserved");
    }
    return 0;
}

static int tag_from_characters(PyObject *value, const char *text, Py_ssize_t length, uint32_t *out)
{
    if (length < 1 || length > 4) {
        return bad_tag(value, 0, length == 0 ? 0x9B : 0x9D, "expected 1 to 4 characters");
    }
    *out = 0;
    for (Py_ssize_t i = 0; i < length; i++) {
        *out |= (uint32_t)(unsigned char)text[i] << (8 * i);
    }
    return 0;
}

static int tag_from_integer(PyObject *value, uint32_t *out)
{
    PyObject *number = PyNumber_Index(value);
    if (number == NULL) {
        return -1;
    }
    unsigned long long wide = PyLong_AsUnsignedLongLong(number);
    Py_DECREF(number);
    if (wide == (unsigned long long)-1 && PyErr_Occurred()) {
        PyErr_Clear();
        wide = UINT64_MAX;
    }
    if (wide > UINT32_MAX) {
        return bad_tag(value, 0, 0x9D, "expected a number of 32 bits");
    }
    *out = (uint32_t)wide;
    return 0;
}

int convert_tag(PyObject *value, uint32_t *out)
{
    int result;
    if (PyUnicode_Check(value)) {
        Py_ssize_t length;
        const char *text = PyUnicode_AsUTF8AndSize(value, &length);
        result = text == NULL ? -1 : tag_from_characters(value, text, length, out);
    } else if (PyBytes_Check(value)) {
        result = tag_from_characters(value, PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value), out);
    } else if (PyIndex_Check(value) && !PyBool_Check(value)) {
        result = tag_from_integer(value, out);
    } else {
        PyErr_Format(PyExc_TypeError, "tag must be 1 to 4 characters (str or bytes) or an integer, got %.100s",
                     Py_TYPE(value)->tp_name);
        return -1;
    }
    return result < 0 ? -1 : check_tag(value, *out);
}

PyObject *tag_text(uint32_t tag)
{
    char text[4];
    Py_ssize_t length = 0;
    for (int i = 0; i < 4; i++) {
        text[i] = (char)(tag >> (8 * i));
        if (text[i] != 0) {
            length = i + 1;
        }
    }
    return PyUnicode_DecodeLatin1(text, length, NULL);
}

/* ---- objects ---------------------------------------------------------------------------------------- */

int convert_callable(PyObject *value, const char *name, PyObject **out)
{
    *out = value == Py_None ? NULL : value;
    if (*out == NULL || PyCallable_Check(value)) {
        return 0;
    }
    PyErr_Format(PyExc_TypeError, "%s must be callable or None, got %.100s", name, Py_TYPE(value)->tp_name);
    return -1;
}

int convert_object(PyObject *value, const char *name, Object **out)
{
    *out = value == Py_None ? NULL : (Object *)value;
    if (*out == NULL || Object_Check(value)) {
        return 0;
    }
    PyErr_Format(PyExc_TypeError, "%s must be a membuf object or None, got %.100s", name, Py_TYPE(value)->tp_name);
    return -1;
}

/* values: in the order of COMMON_NAMES */
int convert_common(PyObject **values, Common *out)
{
    for (int i = 0; i < COMMON_COUNT; i++) {
        values[i] = values[i] == NULL ? Py_None : values[i];
    }
    out->name = values[0] == Py_None ? NULL : values[0];
    if (out->name != NULL && !PyUnicode_Check(out->name)) {
        PyErr_Format(PyExc_TypeError, "name must be a str or None, got %.100s", Py_TYPE(out->name)->tp_name);
        return -1;
    }
    if (convert_object(values[1], "parent", &out->parent) < 0 ||
        convert_callable(values[2], "on_cleanup", &out->cleanup) < 0) {
        return -1;
    }
    return convert_callable(values[3], "on_destroy", &out->destroy);
}
