/* The core's interface for other native modules, through the capsule membuf._native._C_API.
 *
 * A hold keeps a memory object's bytes where they are while hardware or the kernel may touch them:
 * a framework reference (calls keep working after delete) and a pin (the block does not go home).
 * It costs no Python object. All calls need the interpreter's lock (an attached thread state).
 */
#ifndef MEMBUF_NATIVE_API_H
#define MEMBUF_NATIVE_API_H

#include <Python.h>
#include <stdint.h>

#define MEMBUF_API_NAME "membuf._native._C_API"
#define MEMBUF_API_VERSION 2

/* What every object of the tree begins with, for native types that derive from
 * membuf._native.Object: their size, and nothing in it that is theirs to use. */
typedef struct {
    PyObject_HEAD
    void *tree[4];
    uint64_t state;
    void *extras;
} membuf_object;

typedef struct {
    PyObject *memory; /* borrowed from the framework reference */
    void *address;
    Py_ssize_t size;
    void *internal;
} membuf_hold;

typedef struct {
    int version;
    PyTypeObject *memory_type;
    /* 0, or -1 with an exception set: not a memory object, deleted, or read-only and `writable`. */
    int (*hold)(PyObject *memory, int writable, membuf_hold *out);
    void (*unhold)(membuf_hold *hold);
    /* The mapping a held block lies in, kept mapped until given back; 0 where there is none (memory
     * that belongs to the caller). `domain` is opaque. */
    int (*region_hold)(const membuf_hold *hold, void **domain, void **base, size_t *size);
    void (*region_unhold)(void *domain, void *base);
    /* An object that its type's tp_new has just made, as if initialized without arguments; delete()
     * refuses it. -1 with TypeError: it is initialized already. */
    int (*object_begin)(PyObject *object);
    /* The deletion of an object that refuses delete(), for its owner; -1 with an exception set. */
    int (*object_end)(PyObject *object);
    int (*object_frozen)(PyObject *object); /* whether its deletion has begun */
    /* A request's memory over the first bytes of a buffer, a part of `request` (new reference). */
    PyObject *(*request_memory)(PyObject *buffer, PyObject *size, int read_only, PyObject *request);
    /* References on it besides its owner's own; 0 once it is destroyed. */
    Py_ssize_t (*references)(PyObject *object);
} membuf_api;

#endif
