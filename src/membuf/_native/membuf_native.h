/* The core's interface for other native modules, through the capsule membuf._native._C_API.
 *
 * A hold keeps a memory object's bytes where they are while hardware or the kernel may touch them:
 * a framework reference (calls keep working after delete) and a pin (the block does not go home).
 * It costs no Python object. All calls need the interpreter's lock (an attached thread state).
 */
#ifndef MEMBUF_NATIVE_API_H
#define MEMBUF_NATIVE_API_H

#include <Python.h>

#define MEMBUF_API_NAME "membuf._native._C_API"
#define MEMBUF_API_VERSION 1

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
} membuf_api;

#endif
