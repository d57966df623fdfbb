/* DLPack: the bytes as a one-dimensional array of uint8 on the CPU. The structures are those of the
 * published DLPack interface, version 1; both the versioned and the older capsule are offered. */
#include "native.h"

#define DLPACK_CPU 1
#define DLPACK_UINT 1
#define DLPACK_READ_ONLY ((uint64_t)1)
#define DLPACK_COPIED ((uint64_t)2)

typedef struct {
    int32_t device_type, device_id;
} DLDevice;

typedef struct {
    void *data;
    DLDevice device;
    int32_t ndim;
    struct {
        uint8_t code, bits;
        uint16_t lanes;
    } dtype;
    int64_t *shape, *strides;
    uint64_t byte_offset;
} DLTensor;

typedef struct DLManagedTensor {
    DLTensor tensor;
    void *context;
    void (*deleter)(struct DLManagedTensor *);
} DLManagedTensor;

typedef struct DLManagedTensorVersioned {
    uint32_t major, minor;
    void *context;
    void (*deleter)(struct DLManagedTensorVersioned *);
    uint64_t flags;
    DLTensor tensor;
} DLManagedTensorVersioned;

/* One allocation for either form: the view it stands on, and its shape. */
typedef struct {
    union {
        DLManagedTensor plain;
        DLManagedTensorVersioned versioned;
    };
    Py_buffer view;
    int64_t shape, stride;
} Lease;

static void free_lease(Lease *lease)
{
    PyGILState_STATE state = PyGILState_Ensure(); /* a consumer may free from any thread */
    PyBuffer_Release(&lease->view);
    PyMem_Free(lease);
    PyGILState_Release(state);
}

static void delete_plain(DLManagedTensor *managed)
{
    free_lease(managed->context);
}

static void delete_versioned(DLManagedTensorVersioned *managed)
{
    free_lease(managed->context);
}

/* A capsule that nobody consumed still owns its lease. */
static void capsule_destructor(PyObject *capsule)
{
    const char *name = PyCapsule_GetName(capsule);
    if (strcmp(name, "dltensor") == 0) {
        DLManagedTensor *managed = PyCapsule_GetPointer(capsule, name);
        managed->deleter(managed);
    } else if (strcmp(name, "dltensor_versioned") == 0) {
        DLManagedTensorVersioned *managed = PyCapsule_GetPointer(capsule, name);
        managed->deleter(managed);
    }
}

static void fill_tensor(DLTensor *tensor, Lease *lease)
{
    lease->shape = lease->view.len;
    lease->stride = 1;
    *tensor = (DLTensor){
        .data = lease->view.buf,
        .device = {DLPACK_CPU, 0},
        .ndim = 1,
        .dtype = {DLPACK_UINT, 8, 1},
        .shape = &lease->shape,
        .strides = &lease->stride,
    };
}

static PyObject *plain_capsule(Lease *lease)
{
    fill_tensor(&lease->plain.tensor, lease);
    lease->plain.context = lease;
    lease->plain.deleter = delete_plain;
    return PyCapsule_New(&lease->plain, "dltensor", capsule_destructor);
}

static PyObject *versioned_capsule(Lease *lease, bool copied)
{
    DLManagedTensorVersioned *managed = &lease->versioned;
    fill_tensor(&managed->tensor, lease);
    managed->major = 1;
    managed->minor = 0;
    managed->context = lease;
    managed->deleter = delete_versioned;
    managed->flags = (lease->view.readonly ? DLPACK_READ_ONLY : 0) | (copied ? DLPACK_COPIED : 0);
    return PyCapsule_New(managed, "dltensor_versioned", capsule_destructor);
}

enum { STREAM, MAX_VERSION, DEVICE, COPY };
static const char *const names[] = {"stream", "max_version", "dl_device", "copy", NULL};
static PyObject *interned[4];
static Signature signature = {"__dlpack__", names, interned, 0, 0};

static bool given(PyObject *value)
{
    return value != NULL && value != Py_None;
}

static int convert_pair(PyObject *value, const char *name, long *first, long *second)
{
    if (!PyTuple_Check(value) || PyTuple_GET_SIZE(value) != 2) {
        PyErr_Format(PyExc_TypeError, "%s must be a pair of integers, got %R", name, value);
        return -1;
    }
    return PyArg_ParseTuple(value, "ll", first, second) ? 0 : -1;
}

static int check_request(PyObject **values, bool *versioned, bool *copied)
{
    long major = 0, minor, type, id;
    if (given(values[STREAM])) {
        PyErr_SetString(PyExc_BufferError, "memory on the CPU has no streams: stream must be None");
        return -1;
    }
    if (given(values[DEVICE])) {
        if (convert_pair(values[DEVICE], "dl_device", &type, &id) < 0) {
            return -1;
        }
        if (type != DLPACK_CPU || id != 0) {
            PyErr_Format(PyExc_BufferError, "the memory is on the CPU (1, 0), device (%ld, %ld) was asked for", type, id);
            return -1;
        }
    }
    if (given(values[MAX_VERSION]) && convert_pair(values[MAX_VERSION], "max_version", &major, &minor) < 0) {
        return -1;
    }
    *versioned = major >= 1;
    return convert_flag(given(values[COPY]) ? values[COPY] : NULL, "copy", copied);
}

PyObject *memory_dlpack(PyObject *self, PyObject *const *arguments, Py_ssize_t count, PyObject *keywords)
{
    PyObject *values[4];
    bool versioned, copied;
    if (parse_arguments(&signature, arguments, count, keywords, values) < 0 ||
        check_request(values, &versioned, &copied) < 0 || object_alive((Object *)self, "share it") < 0) {
        return NULL;
    }
    Lease *lease = PyMem_Calloc(1, sizeof *lease);
    if (lease == NULL) {
        return PyErr_NoMemory();
    }
    PyObject *source = copied ? PyByteArray_FromObject(self) : Py_NewRef(self);
    int result = source == NULL ? -1 : PyObject_GetBuffer(source, &lease->view, PyBUF_SIMPLE);
    Py_XDECREF(source);
    if (result == 0 && lease->view.readonly && !versioned) {
        PyErr_SetString(PyExc_BufferError, "read-only memory needs DLPack 1.0 (max_version=(1, 0)) or copy=True");
        PyBuffer_Release(&lease->view);
        result = -1;
    }
    if (result < 0) {
        PyMem_Free(lease);
        return NULL;
    }
    PyObject *capsule = versioned ? versioned_capsule(lease, copied) : plain_capsule(lease);
    if (capsule == NULL) {
        free_lease(lease);
    }
    return capsule;
}

PyObject *memory_dlpack_device(PyObject *self, PyObject *unused)
{
    return Py_BuildValue("(ii)", DLPACK_CPU, 0);
}
