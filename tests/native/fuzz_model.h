/* The fuzzer's model of the store: what every block must hold, what every call must answer, what every
 * account must say. */
#ifndef MEMBUF_TESTS_FUZZ_MODEL_H
#define MEMBUF_TESTS_FUZZ_MODEL_H

#include "check.h"

enum { DOMAINS = 3, TAGS = 3, LISTS = 6, DEPTH = 12, BLOCKS = 48, HOLDS = 4 };

typedef struct {
    mb_tag *real;
    uint64_t allocations, frees, hits, bytes;
} tag_model;

typedef struct {
    mb_domain *real; /* NULL: none */
    bool closed, zero_on_free, lock_required;
    uint64_t limit, points, failures, stale, stale_events;
    int64_t fail_after;
    unsigned keeps;
    tag_model tags[TAGS];
} domain_model;

typedef struct {
    mb_list *real; /* NULL: none */
    bool open, zero, zero_on_free;
    size_t domain, tag, size, alignment;
    mb_block *stack[DEPTH];
    uint32_t idle, depth, maximum, low_water;
    uint64_t misses, out;
} list_model;

typedef struct {
    mb_block *real; /* NULL: none */
    mb_source *source;
    size_t domain, tag, size;
    list_model *list; /* NULL: straight from the pool */
    unsigned seed;
} block_model;

typedef struct {
    void *base; /* NULL: none */
    size_t domain, size;
} hold_model;

extern domain_model domains[DOMAINS];
extern list_model lists[LISTS];
extern block_model blocks[BLOCKS];
extern hold_model holds[HOLDS];
extern bool strained; /* the system was told to refuse */

bool in_domain(const list_model *list, size_t domain);
void reclaim(size_t domain);
mb_result expect(size_t domain, size_t size); /* of a call that asks the pool */
void settle(size_t domain, size_t size, size_t alignment, mb_result expected, mb_result result);
void enter(block_model *block, size_t alignment, bool zeroed); /* a block was taken */
void give(block_model *block);                                 /* gives one back, if it is there */
void check_zeroed(const unsigned char *data, size_t size);
void forget_what_ended(void);
uint32_t first_depth(const list_model *list);
void retune(list_model *list); /* after a rebalance */
void check_all(void);

#endif
