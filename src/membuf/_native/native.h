/* The hot object types on the CPython C API: what their files share.
 *
 * Ownership, in short:
 *   - a parent's ring of children holds one strong Python reference on each child; child->parent is
 *     borrowed and cleared when the child leaves the ring;
 *   - while framework references are held (`references` in the state word) one Python reference is
 *     held for all of them together;
 *   - a block goes home when its object is destroyed and its last view is released, whichever is
 *     later: the state word decides which party returns it, exactly once.
 */
#ifndef MEMBUF_NATIVE_H
#define MEMBUF_NATIVE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdbool.h>
#include <stdint.h>

#include "store/store.h"

/* ---- state word ------------------------------------------------------------------------------ */

#define PIN ((uint64_t)1)                 /* bits 0..27: exported views and I/O in flight */
#define PINS_MASK ((uint64_t)0x0FFFFFFF)
#define REFERENCE ((uint64_t)1 << 28)     /* bits 28..51: framework references */
#define REFERENCES_MASK ((uint64_t)0xFFFFFF << 28)
#define DELETE_CALLED ((uint64_t)1 << 52) /* delete was asked for; a disposing parent does the rest */
#define DISPOSING ((uint64_t)1 << 53)     /* cleanup of the subtree is running */
#define DISPOSED ((uint64_t)1 << 54)      /* cleanup ran */
#define DROPPED ((uint64_t)1 << 55)       /* the tree's own reference is gone: destroy at zero */
#define DESTROYING ((uint64_t)1 << 56)    /* destroy callbacks are running */
#define DESTROYED ((uint64_t)1 << 57)
#define RELEASED ((uint64_t)1 << 58)      /* no new views; the block goes home at zero pins */
#define UNDELETABLE ((uint64_t)1 << 59)
#define READ_ONLY ((uint64_t)1 << 60)
#define INITIALIZED ((uint64_t)1 << 61)   /* __init__ ran */
#define TRACKED ((uint64_t)1 << 62)       /* by the cyclic collector */
#define FINALIZED ((uint64_t)1 << 63)     /* tp_finalize was called: the handle is not recycled */
#define FROZEN (DELETE_CALLED | DISPOSING | DISPOSED | DROPPED | DESTROYING | DESTROYED)

#ifdef Py_GIL_DISABLED
#define state_load(o) __atomic_load_n(&(o)->state, __ATOMIC_ACQUIRE)
#define state_or(o, bits) __atomic_fetch_or(&(o)->state, (bits), __ATOMIC_ACQ_REL)
#define state_and(o, bits) __atomic_fetch_and(&(o)->state, (bits), __ATOMIC_ACQ_REL)
#define state_add(o, n) __atomic_fetch_add(&(o)->state, (n), __ATOMIC_ACQ_REL)
#define state_sub(o, n) __atomic_fetch_sub(&(o)->state, (n), __ATOMIC_ACQ_REL)
#define state_peek(state) __atomic_load_n((state), __ATOMIC_ACQUIRE)
/* False: it was changed meanwhile, *old says to what. */
#define state_change(state, old, value) \
    __atomic_compare_exchange_n((state), (old), (value), true, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)
#else
static inline uint64_t exchange_state(uint64_t *state, uint64_t value)
{
    uint64_t old = *state;
    *state = value;
    return old;
}
#define state_load(o) ((o)->state)
#define state_or(o, bits) exchange_state(&(o)->state, (o)->state | (bits))
#define state_and(o, bits) exchange_state(&(o)->state, (o)->state & (bits))
#define state_add(o, n) exchange_state(&(o)->state, (o)->state + (n))
#define state_sub(o, n) exchange_state(&(o)->state, (o)->state - (n))
#define state_peek(state) (*(state))
#define state_change(state, old, value) ((void)(old), *(state) = (value), true)
#endif

/* One more pin unless the bytes were released; never a pin to take back. `stale`: also of released
 * bytes that another pin still keeps. */
static inline bool pin_state(uint64_t *state, bool stale)
{
    uint64_t old = state_peek(state);
    do {
        bool kept = (old & RELEASED) == 0 || (stale && (old & PINS_MASK) != 0);
        if (!kept || (old & PINS_MASK) == PINS_MASK) {
            return false;
        }
    } while (!state_change(state, &old, old + PIN));
    return true;
}

/* The releaser's pin goes; true: it was the last, the bytes end here. Whoever has another is to find
 * them counted as stale: `*stale` says that they are. */
static inline bool drop_releasing_pin(uint64_t *state, const mb_source *source, bool *stale)
{
    uint64_t old = state_peek(state);
    do {
        if ((old & PINS_MASK) != PIN && !*stale) {
            mb_domain_stale(source->tag->domain, 1);
            *stale = true;
        }
    } while (!state_change(state, &old, old - PIN));
    return (old & PINS_MASK) == PIN;
}

/* The bytes are released: no new pins. With threads the releaser keeps one until it is done, or the
 * end of another's last view might be the end of the bytes meanwhile. */
static inline void begin_release(uint64_t *state)
{
#ifdef Py_GIL_DISABLED
    __atomic_fetch_add(state, PIN, __ATOMIC_ACQ_REL);
    __atomic_fetch_or(state, RELEASED, __ATOMIC_ACQ_REL);
#else
    *state |= RELEASED;
#endif
}

/* True: nobody has a pin any more, the bytes end here. */
static inline bool end_release(uint64_t *state, const mb_source *source, bool *stale)
{
#ifdef Py_GIL_DISABLED
    return drop_releasing_pin(state, source, stale);
#else
    *stale = (*state & PINS_MASK) != 0;
    if (*stale) {
        mb_domain_stale(source->tag->domain, 1);
    }
    return !*stale;
#endif
}

#ifndef Py_BEGIN_CRITICAL_SECTION /* before 3.13 the interpreter's lock is one */
#define Py_BEGIN_CRITICAL_SECTION(object) {
#define Py_END_CRITICAL_SECTION() }
#endif

/* A new reference to what is known by a pointer that holds none; NULL where it is being deallocated.
 * `allow_try_newref` comes first, when the object is made. */
#ifndef Py_GIL_DISABLED
#define allow_try_newref(op) ((void)(op))
static inline PyObject *try_newref(PyObject *op)
{
    return Py_REFCNT(op) == 0 ? NULL : Py_NewRef(op);
}
#elif PY_VERSION_HEX >= 0x030E0000
#define allow_try_newref(op) PyUnstable_EnableTryIncRef(op)
static inline PyObject *try_newref(PyObject *op)
{
    return PyUnstable_TryIncRef(op) ? op : NULL;
}
#else /* 3.13 has it inside only: see gc and weak references in its refcount.h */
static inline void allow_try_newref(PyObject *op)
{
    Py_ssize_t shared = __atomic_load_n(&op->ob_ref_shared, __ATOMIC_RELAXED);
    while ((shared & _Py_REF_SHARED_FLAG_MASK) == 0 &&
           !__atomic_compare_exchange_n(&op->ob_ref_shared, &shared, shared | _Py_REF_MAYBE_WEAKREF, true,
                                        __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
    }
}

static inline PyObject *try_newref(PyObject *op)
{
    if (_Py_IsOwnedByCurrentThread(op)) {
        return Py_NewRef(op); /* once its count is zero an object that allows this is nobody's */
    }
    Py_ssize_t shared = __atomic_load_n(&op->ob_ref_shared, __ATOMIC_RELAXED);
    do {
        if (shared == 0 || shared == _Py_REF_MERGED) {
            return NULL;
        }
    } while (!__atomic_compare_exchange_n(&op->ob_ref_shared, &shared, shared + (1 << _Py_REF_SHARED_SHIFT), true,
                                          __ATOMIC_ACQUIRE, __ATOMIC_RELAXED));
    return op;
}
#endif

/* ---- structures ------------------------------------------------------------------------------ */

typedef struct Object Object;
typedef struct LookasideList LookasideList;

typedef struct {
    PyObject *cleanup, *destroy; /* callables or NULL */
    PyObject *type, *context;    /* of a typed context, or NULL */
} Hooks;

/* What few objects have: a name, contexts, callbacks, tagged references. */
typedef struct {
    PyObject *name;
    PyObject *context;    /* the dictionary */
    PyObject *references; /* {tag: [count]} of the references taken by name */
    Py_ssize_t untagged;  /* and of those taken without */
    LookasideList *lists; /* those whose memories this object is to own */
    Hooks *hooks;
    Py_ssize_t hook_count;
} Extras;

struct Object {
    PyObject_HEAD
    Object *parent;
    Object *child; /* the first; its `previous` is the last */
    Object *previous;
    union {
        Object *next;
        uint64_t deleted_site; /* once destroyed: by which call */
    };
    uint64_t state;
    Extras *extras;
};

/* Lists and domains can be referred to weakly; memory objects pay for no such pointer. */
typedef struct {
    Object base;
    PyObject *weak_references;
} WeakObject;

typedef struct {
    WeakObject base;
    mb_domain *store;
    uint32_t default_tag;
    bool sites;
} Domain;

/* Somebody else's buffer under a memory object, alive until its last view is gone: the caller's under
 * preallocated memory, the originator's or the device's under a request's. */
typedef struct {
    Py_buffer view;
    Py_ssize_t users;
    size_t size; /* of it, from its start */
    uint32_t tag; /* 0: none */
    bool read_only;
    bool of_request;
} Exported;

typedef struct {
    Object base;
    unsigned char *buffer;
    size_t size;
    union {
        mb_source *source;  /* of pool and lookaside memory */
        Exported *exported; /* of preallocated memory */
    };
    mb_block *block; /* NULL: preallocated */
} Memory;

struct LookasideList {
    WeakObject base;
    mb_list *list;
    Domain *domain;
    Object *memory_parent; /* borrowed: cleared when that object is destroyed */
    LookasideList *next_of_parent;
    bool has_memory_parent;
};

typedef struct {
    PyObject_HEAD
    unsigned char *buffer;
    size_t size;
    uint64_t state; /* PIN, DESTROYED, RELEASED */
    mb_source *source; /* while it holds a block */
    mb_block *block;
    uint32_t tag;
    mb_pool pool;
    uint64_t freed_site;
} Block;

extern PyTypeObject Object_Type, Memory_Type, LookasideList_Type, Block_Type, Pointer_Type, Domain_Type;

#define Object_Check(o) PyObject_TypeCheck((o), &Object_Type)

#define FAST(f) (PyCFunction)(void (*)(void))(f), METH_FASTCALL
#define FAST_KEYWORDS(f) (PyCFunction)(void (*)(void))(f), METH_FASTCALL | METH_KEYWORDS

/* ---- errors.c -------------------------------------------------------------------------------- */

#define STATUS_ACCESS_VIOLATION 0xC0000005u
#define STATUS_INVALID_HANDLE 0xC0000008u /* the object is gone */
#define STATUS_INVALID_PARAMETER 0xC000000Du
#define STATUS_INVALID_DEVICE_REQUEST 0xC0000010u
#define STATUS_BUFFER_TOO_SMALL 0xC0000023u
#define STATUS_OBJECT_PATH_INVALID 0xC0000039u
#define STATUS_DELETE_PENDING 0xC0000056u
#define STATUS_INTEGER_OVERFLOW 0xC0000095u
#define STATUS_INSUFFICIENT_RESOURCES 0xC000009Au
#define STATUS_CANNOT_DELETE 0xC0000121u
#define STATUS_INVALID_BUFFER_SIZE 0xC0000206u

/* Sets the exception for a status. `operands` is stolen and may be NULL. Returns NULL. */
PyObject *raise_status(uint32_t status, PyObject *operands, const char *format, ...);
PyObject *raise_bugcheck(uint32_t status, uint32_t code, uint64_t p1, uint64_t p2, uint64_t p3, uint64_t p4,
                         const char *format, ...);
PyObject *from_module(const char *module_name, const char *name);
PyObject *raise_deleted(PyObject *object, const char *what);
PyObject *raise_store(mb_result result, mb_domain *store, size_t size);

/* ---- convert.c: one converter for each kind of argument ---------------------------------------- */

typedef struct {
    const char *function;
    const char *const *names; /* NULL-terminated; the first `positional` may come by position */
    PyObject **interned;
    Py_ssize_t positional;
    Py_ssize_t required;
    Py_ssize_t count; /* filled at the first call */
} Signature;

/* Fills values[] (borrowed, NULL where absent); -1 with TypeError set. */
int parse_arguments(Signature *signature, PyObject *const *arguments, Py_ssize_t count, PyObject *keywords,
                    PyObject **values);
int parse_new_arguments(Signature *signature, PyObject *arguments, PyObject *keywords, PyObject **values);

/* The value of an exact int, if it is small and not negative as most are; false: ask the long way. */
static inline bool small_size(PyObject *number, size_t *out)
{
    PyLongObject *value = (PyLongObject *)number;
#if PY_VERSION_HEX < 0x030C0000
    Py_ssize_t digits = Py_SIZE(value);
    *out = digits == 0 ? 0 : value->ob_digit[0];
    return digits == 0 || digits == 1;
#else
    Py_ssize_t compact = PyUnstable_Long_IsCompact(value) ? PyUnstable_Long_CompactValue(value) : -1;
    *out = (size_t)compact;
    return compact >= 0;
#endif
}

/* Any object with __index__ but bool. Below 0: INVALID_PARAMETER; 2**64 and above: SIZE_MAX. */
int convert_size(PyObject *value, const char *name, size_t *out);
int convert_tag(PyObject *value, uint32_t *out); /* not None */
int convert_pool(PyObject *value, mb_pool *out);
int convert_alignment(PyObject *value, size_t *out); /* NULL and None: natural */
int convert_flag(PyObject *value, const char *name, bool *out);
int convert_callable(PyObject *value, const char *name, PyObject **out); /* None: NULL */
int convert_object(PyObject *value, const char *name, Object **out);     /* None: NULL */
PyObject *tag_text(uint32_t tag);
PyObject *pool_number(mb_pool pool);

/* ---- site.c ----------------------------------------------------------------------------------- */

uint64_t site_take(void); /* where the running Python frame is; holds its code object */
void site_drop(uint64_t site);
uint64_t site_share(uint64_t site);
int site_hide(PyObject *folder); /* str: frames of files below it are passed over */
PyObject *site_text(uint64_t site); /* "file:line in function", or None */

/* ---- object.c, extras.c, tree.c ----------------------------------------------------------------- */

typedef struct {
    Object *parent;
    PyObject *name, *cleanup, *destroy; /* borrowed */
} Common;

#define COMMON_NAMES "name", "parent", "on_cleanup", "on_destroy"
#define COMMON_COUNT 4
int convert_common(PyObject **values, Common *out); /* absent values count as None */

int object_prepare_finalizer(void);
int object_setup(Object *self, const Common *common); /* name and callbacks, then the parent: last */
int object_alive(Object *self, const char *what);     /* 0, or -1 with ObjectDeletedError */
int object_traverse(Object *self, visitproc visit, void *arg);
void object_clear(Object *self);
void object_finalize(PyObject *self);
bool object_in_finalizer(void);                        /* whether a deallocation on this thread deletes */
bool object_dealloc_begin(Object *self); /* false: the object was resurrected */
void object_track(Object *self);
void object_untrack(Object *self);
PyObject *object_delete(Object *self, PyObject *unused);
int object_hold(Object *self); /* a framework reference that no caller's dereference can drop */
void object_unhold(Object *self);
PyObject *object_reference(Object *self, PyObject *const *arguments, Py_ssize_t count, PyObject *keywords);
PyObject *object_dereference(Object *self, PyObject *const *arguments, Py_ssize_t count, PyObject *keywords);
PyObject *object_dereference_any(Object *self);
PyObject *object_exit(PyObject *self, PyObject *const *arguments, Py_ssize_t count);

Extras *extras_get(Object *self); /* makes them; NULL with MemoryError */
int extras_add_hooks(Object *self, PyObject *cleanup, PyObject *destroy, PyObject *type, PyObject *context);
void extras_drop_callbacks(Object *self, Py_ssize_t hook);
PyObject *extras_find_context(Object *self, PyObject *type);
PyObject *extras_dictionary(Object *self, PyObject **place);
int extras_traverse(Extras *extras, visitproc visit, void *arg);
void extras_free(Object *self);
void extras_gone(Object *self); /* this object will own no list's memories any more */
void extras_call(Object *self, bool destroy, PyObject **errors);

int tree_attach(Object *parent, Object *child); /* -1 with DELETE_PENDING or ObjectDeletedError */
PyObject *tree_parent(Object *self);            /* new reference, or None */
PyObject *tree_children(Object *self);
/* `site` is where delete was called; the caller keeps it. Exceptions are appended to *errors; without
 * errors no callback runs. */
/* A leaf's delete: it leaves its parent and its state says `end`; false: do it the long way. */
bool tree_leave(Object *self, uint64_t end);
void tree_delete(Object *self, uint64_t site, PyObject **errors);
void tree_destroy(Object *self, uint64_t site, PyObject **errors); /* the last reference is gone */
int raise_errors(PyObject *errors, Object *self);       /* steals; 0 if NULL */
void report_errors(PyObject *errors, Object *self);     /* steals; to sys.unraisablehook */
void type_release(Object *self);                        /* what destroy means for its type */

/* ---- memory.c, exported.c, copy.c, lookaside.c, domain.c, block.c, dlpack.c ----------------------------------------- */

Memory *memory_new_handle(void);
void memory_release(Memory *self);
int memory_getbuffer(Memory *self, Py_buffer *view, int flags);
void memory_releasebuffer(Memory *self, Py_buffer *view);
int memory_pin(Memory *self);
void memory_unpin(Memory *self);
PyObject *memory_finish(Memory *self, const Common *common); /* name, callbacks, parent; steals self */
PyObject *memory_preallocated(PyObject *type, PyObject *const *arguments, Py_ssize_t count, PyObject *keywords);
PyObject *memory_assign_buffer(Memory *self, PyObject *buffer);
PyObject *memory_of_request(PyObject *module, PyObject *const *arguments, Py_ssize_t count);
PyObject *exported_for_request(PyObject *buffer, PyObject *size, int read_only, Object *request);
const char *exported_source(Memory *self);
bool exported_is_embedded(Memory *self);
PyObject *memory_copy_from(Memory *self, PyObject *const *arguments, Py_ssize_t count, PyObject *keywords);
PyObject *memory_copy_to(Memory *self, PyObject *const *arguments, Py_ssize_t count, PyObject *keywords);
int exported_getbuffer(Memory *self, Py_buffer *view, int flags);
void exported_drop(Exported *exported);
void exported_swap(Memory *self, Exported *exported);
uint32_t exported_tag(Memory *self);
PyObject *memory_describe(Memory *self);
PyObject *memory_repr(Memory *self);
extern PyGetSetDef memory_properties[];
PyObject *block_describe(Block *self);
PyObject *describe_block(const mb_source *source, const mb_block *block, size_t size, bool deleted);
PyObject *raise_home(PyObject *op);
void list_release(LookasideList *self);
void lists_forget_parent(Extras *parent); /* it will own no more memories */
void domain_release(Domain *self);
Domain *domain_current(void); /* new reference */
int domain_tag(Domain *self, PyObject *tag, mb_pool pool, mb_tag **out);
PyObject *block_allocate(Domain *domain, PyObject *const *values); /* size, tag, pool, alignment, zero */
PyObject *block_free(Block *self, PyObject *tag);
PyObject *memory_dlpack(PyObject *self, PyObject *const *arguments, Py_ssize_t count, PyObject *keywords);
PyObject *memory_dlpack_device(PyObject *self, PyObject *unused);
PyObject *exporter_item(PyObject *self, PyObject *key);
int exporter_set_item(PyObject *self, PyObject *key, PyObject *value);

int module_add_domain(PyObject *module);
int module_add_api(PyObject *module);

#endif
