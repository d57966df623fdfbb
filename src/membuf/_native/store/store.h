/* The block store: domains, tags, regions, lookaside stacks. No Python here.
 *
 *   domain   owns everything below; nothing is process-wide
 *   tag      per-tag, per-pool accounting of what users hold
 *   region   one mapping carved into blocks of one size, its records kept out of band
 *   block    the record of one block: where its bytes are, who holds it, where it was taken
 *   list     a lookaside list: a LIFO stack of idle blocks with an adaptive depth
 *
 * Locks (empty in builds where the interpreter's lock protects every call): a list's lock is a
 * leaf; a domain's lock may be held while a list's is taken, never the other way round.
 */
#ifndef MEMBUF_STORE_H
#define MEMBUF_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if MB_LOCKED
#include <pthread.h>
typedef pthread_mutex_t mb_mutex;
#define mb_mutex_init(m) pthread_mutex_init((m), NULL)
#define mb_mutex_destroy(m) pthread_mutex_destroy(m)
#define mb_lock(m) pthread_mutex_lock(m)
#define mb_unlock(m) pthread_mutex_unlock(m)
#define mb_add(p, n) __atomic_add_fetch((p), (n), __ATOMIC_RELAXED)
#define mb_sub(p, n) __atomic_sub_fetch((p), (n), __ATOMIC_RELAXED)
#define mb_load(p) __atomic_load_n((p), __ATOMIC_RELAXED)
#define mb_publish(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)
#define mb_observe(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
#else
typedef struct {
    char unused;
} mb_mutex;
#define mb_mutex_init(m) ((void)(m))
#define mb_mutex_destroy(m) ((void)(m))
#define mb_lock(m) ((void)(m))
#define mb_unlock(m) ((void)(m))
#define mb_add(p, n) (*(p) += (n))
#define mb_sub(p, n) (*(p) -= (n))
#define mb_load(p) (*(p))
#define mb_publish(p, v) (*(p) = (v))
#define mb_observe(p) (*(p))
#endif

/* Kept out of the way of the code beside it, which then needs fewer registers saved. */
#define MB_RARE __attribute__((noinline, cold))

#define MB_PAGE ((size_t)4096)
#define MB_REGION ((size_t)2 << 20)
#define MB_NATURAL_ALIGNMENT ((size_t)16)
#define MB_LARGEST_SIZE ((size_t)1 << 46)

#define MB_FIRST_DEPTH 4u
#define MB_LIST_LARGEST_SIZE ((size_t)UINT32_MAX)

typedef enum {
    MB_OK,
    MB_NO_MEMORY,    /* the system has none */
    MB_TOO_LARGE,    /* no system has so much: nothing is given up for it */
    MB_OVER_LIMIT,   /* the domain's hard limit */
    MB_NOT_LOCKED,   /* non-paged memory was required and mlock refused */
    MB_INJECTED,     /* a test asked for this failure */
} mb_result;

typedef enum { MB_NONPAGED, MB_PAGED, MB_POOLS } mb_pool;

enum { MB_ZERO = 1 }; /* flags of mb_allocate */

typedef struct mb_domain mb_domain;
typedef struct mb_tag mb_tag;
typedef struct mb_list mb_list;
typedef struct mb_region mb_region;

/* One record a block, out of band: overruns and stale writes cannot reach it. */
typedef struct mb_block {
    unsigned char *data;
    void *owner;   /* the holder while in use; while free, a link to the next, marked as one */
    uint64_t site; /* opaque here: the caller's mark of where the block was taken */
} mb_block;

/* Says who holds a block: the last step of taking it, since a walk may see the holder from then on. */
static inline void mb_block_hold(mb_block *block, void *owner)
{
    mb_publish(&block->owner, owner);
}

/* Who holds a block, or NULL: it is free, or on its way. */
static inline void *mb_block_holder(const mb_block *block)
{
    void *owner = mb_observe(&block->owner);
    return ((uintptr_t)owner & 1u) != 0 ? NULL : owner;
}

/* Where a block in use goes back to: its tag alone, or a list (whose tag it is). */
typedef struct mb_source {
    mb_tag *tag;
    mb_list *list; /* NULL: straight to the pool */
} mb_source;

struct mb_tag {
    mb_source source;
    mb_domain *domain;
    mb_tag *next;
    uint32_t value;
    mb_pool pool;
    uint64_t allocations; /* blocks handed to users */
    uint64_t frees;
    uint64_t hits;        /* of the allocations, those an idle block served */
    uint64_t bytes;       /* in users' hands now, at the size they asked for */
    uint64_t peak_bytes;
};

struct mb_list {
    mb_source source;
    void *owner; /* the caller's */
    mb_list *previous, *next; /* of the domain */
    mb_block **stack;
    size_t size;
    size_t alignment;
    uint32_t idle, depth, maximum_depth, low_water, capacity;
    bool zero, zero_on_free, closed;
    uint64_t total_allocates, allocate_misses, total_frees, free_misses, failures;
    uint64_t misses_at_rebalance;
    uint64_t rebalanced; /* when, in ns */
    mb_mutex mutex;
};

typedef struct {
    uint64_t limit; /* 0: none */
    bool lock_required;
    bool auto_rebalance;
    bool zero_on_free;
} mb_options;

typedef struct {
    uint64_t limit, charged_bytes, peak_charged_bytes, idle_bytes, mapped_bytes;
    uint64_t locked_bytes, unlocked_bytes, regions, lists;
    uint64_t stale_blocks, stale_events, dropped_blocks, failures;
} mb_figures;

/* domain.c */
mb_domain *mb_domain_new(const mb_options *options);
void mb_domain_close(mb_domain *domain); /* goes for good when its last block and list are home */
void mb_domain_keep(mb_domain *domain);  /* not closed for good until as many unkeeps */
void mb_domain_unkeep(mb_domain *domain);
void mb_domain_set_limit(mb_domain *domain, uint64_t limit);
void mb_domain_set_faults(mb_domain *domain, int64_t after); /* the after-th allocation fails, and all later; 0: off */
uint64_t mb_domain_allocation_points(mb_domain *domain);
void mb_domain_figures(mb_domain *domain, mb_figures *out);
void mb_domain_rebalance(mb_domain *domain);
size_t mb_domain_trim(mb_domain *domain); /* bytes given back to the system */
void mb_domain_stale(mb_domain *domain, int change);
void mb_domain_dropped(mb_domain *domain); /* a block came back without being freed */
mb_tag *mb_tag_get(mb_domain *domain, uint32_t value, mb_pool pool);
size_t mb_domain_tag_buckets(void);
mb_tag *mb_domain_tag_at(mb_domain *domain, size_t bucket);
typedef int (*mb_visit)(mb_block *block, mb_pool pool, void *context);
int mb_domain_walk(mb_domain *domain, mb_visit visit, void *context); /* blocks in use; stops at non-zero */
void mb_domain_lock(mb_domain *domain);   /* around a walk: until the unlock holders stay holders */
void mb_domain_unlock(mb_domain *domain);

/* pool.c */
mb_result mb_allocate(mb_tag *tag, size_t size, size_t alignment, unsigned flags, mb_block **out);
void mb_free(mb_tag *tag, mb_block *block, size_t size);

/* lookaside.c */
mb_result mb_list_new(mb_tag *tag, size_t size, size_t alignment, uint32_t maximum_depth, bool zero,
                      bool zero_on_free, mb_list **out);
void mb_list_close(mb_list *list);
mb_result mb_list_pop(mb_list *list, mb_block **out);
void mb_list_push(mb_list *list, mb_block *block);
void mb_list_rebalance(mb_list *list);
void mb_list_flush(mb_list *list);

static inline uint64_t mb_list_outstanding(const mb_list *list)
{
    return list->total_allocates - list->failures - list->total_frees;
}

/* A block goes back where it came from, in two steps: its user no longer has it on the account, and
 * the bytes go home. Between them lies the time that a view outlives its object. */
void mb_settle(mb_source *source, size_t size);
void mb_bring_home(mb_source *source, mb_block *block, size_t size);
static inline void mb_release(mb_source *source, mb_block *block, size_t size)
{
    mb_settle(source, size);
    mb_bring_home(source, block, size);
}

/* Registered memory: the mapping that holds an address, kept mapped while held. */
bool mb_region_hold(mb_domain *domain, const void *address, void **base, size_t *size);
void mb_region_unhold(mb_domain *domain, const void *base);

#endif
