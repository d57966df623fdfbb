/* What the store's own files share. */
#ifndef MEMBUF_STORE_INTERNAL_H
#define MEMBUF_STORE_INTERNAL_H

#include "store.h"

#define MB_CLASSES 43
#define MB_TAG_BUCKETS 64
#define MB_LOCK_STEP ((size_t)64 << 10)
#define MB_LARGE_IDLE_LIMIT ((size_t)256 << 20)
#define MB_IDLE_TICKS 2
#define MB_TICK_NS UINT64_C(1000000000)

/* Free records are chained through `owner`; the low bit tells a link from a holder. */
static inline void mb_block_link(mb_block *block, mb_block *next)
{
    mb_block_hold(block, (void *)((uintptr_t)next | 1u));
}

static inline mb_block *mb_block_next(const mb_block *block)
{
    return (mb_block *)((uintptr_t)block->owner & ~(uintptr_t)1);
}

struct mb_region {
    mb_region *previous, *next; /* of its class's regions with room, or of the idle large ones */
    mb_region *chain;           /* of its hash bucket */
    unsigned char *base;
    size_t map_size;
    size_t record_map_size;
    size_t block_size;
    size_t locked; /* bytes from base that mlock took */
    size_t unlocked; /* bytes carved that it refused */
    uint32_t count, carved, used;
    uint32_t holds;
    mb_block *free;
    mb_pool pool;
    int16_t class_index; /* -1: a block of its own */
    uint8_t idle_ticks;
    bool has_room;
    mb_block records[];
};

typedef struct {
    mb_region *roomy;
    uint32_t regions;
} mb_class;

struct mb_domain {
    mb_mutex mutex;
    mb_options options;
    mb_class classes[MB_POOLS][MB_CLASSES];
    mb_tag *tags[MB_TAG_BUCKETS];
    mb_region **buckets;
    size_t bucket_count;
    mb_region *large_idle;
    size_t large_idle_bytes;
    mb_list *lists;
    mb_figures figures;
    int64_t fail_after;
    uint64_t allocation_points;
    uint64_t last_tick; /* ns */
    uint64_t blocks_out;
    uint64_t keeps;
    bool closed;
};

/* size_class.c */
int mb_class_of(size_t size, size_t alignment); /* -1: too large, a mapping of its own */
size_t mb_class_size(int index);

/* region.c; the caller holds the domain's lock */
mb_result mb_region_take(mb_domain *domain, mb_pool pool, size_t size, size_t alignment, mb_block **block,
                         bool *fresh);
void mb_region_give(mb_domain *domain, mb_block *block);
size_t mb_region_trim(mb_domain *domain, int idle_ticks);
void mb_region_unmap_all(mb_domain *domain);
mb_region *mb_region_at(mb_domain *domain, const void *address);

/* domain.c */
uint64_t mb_now(void); /* ns, to a few ms */
void mb_domain_maybe_tick(mb_domain *domain);
void mb_domain_add_list(mb_domain *domain, mb_list *list);
void mb_domain_remove_list(mb_domain *domain, mb_list *list);
void mb_domain_reclaim(mb_domain *domain);
void mb_domain_leave(mb_domain *domain); /* unlocks; ends the domain if nothing keeps it */

/* pool.c: blocks without the tag's accounting */
mb_result mb_pool_take(mb_domain *domain, mb_pool pool, size_t size, size_t alignment, bool zero, mb_block **out);
void mb_pool_give(mb_domain *domain, mb_block *block, size_t size);
void mb_pool_give_locked(mb_domain *domain, mb_block *block, size_t size);
void mb_tag_took(mb_tag *tag, size_t size, bool hit);
void mb_tag_gave(mb_tag *tag, size_t size);

/* lookaside.c: a block comes back, off its tag's account already; the surplus above the new depth, chained by owner */
void mb_list_put(mb_list *list, mb_block *block);
mb_block *mb_list_retune(mb_list *list);
mb_block *mb_list_take_idle(mb_list *list, uint32_t keep);

#endif
