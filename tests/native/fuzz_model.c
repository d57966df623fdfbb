#include "fuzz_model.h"

#include <string.h>

#define FILLED ((size_t)4096) /* larger blocks are marked at both ends only */
#define ENDS ((size_t)64)
#define ORDINARY ((size_t)64 << 20) /* beyond, the system may refuse */
#define ORDINARY_ALIGNMENT ((size_t)1 << 30)

domain_model domains[DOMAINS];
list_model lists[LISTS];
block_model blocks[BLOCKS];
hold_model holds[HOLDS];
bool strained;

/* ---- the model of accounts --------------------------------------------------------------------- */

bool in_domain(const list_model *list, size_t domain)
{
    return list->real != NULL && list->domain == domain;
}

static uint64_t idle_bytes(size_t domain)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < LISTS; i++) {
        bytes += in_domain(&lists[i], domain) ? (uint64_t)lists[i].idle * lists[i].size : 0;
    }
    return bytes;
}

static uint64_t charged_bytes(size_t domain)
{
    uint64_t bytes = idle_bytes(domain);
    for (size_t i = 0; i < BLOCKS; i++) {
        bytes += blocks[i].real != NULL && blocks[i].domain == domain ? blocks[i].size : 0;
    }
    return bytes;
}

void reclaim(size_t domain)
{
    for (size_t i = 0; i < LISTS; i++) {
        if (in_domain(&lists[i], domain)) {
            lists[i].idle = lists[i].low_water = 0;
        }
    }
}

/* Where the system may have refused, the store may have given up idle blocks: it must say so. */
static void follow_reclaim(size_t domain)
{
    for (size_t i = 0; i < LISTS; i++) {
        if (in_domain(&lists[i], domain) && lists[i].real->idle == 0) {
            lists[i].idle = lists[i].low_water = 0;
        }
    }
}

static bool over_limit(size_t domain, size_t size)
{
    uint64_t limit = domains[domain].limit, charged = charged_bytes(domain);
    return limit != 0 && (size > limit || charged > limit - size);
}

mb_result expect(size_t domain, size_t size)
{
    domain_model *d = &domains[domain];
    d->points++;
    if (d->fail_after == 1) {
        return MB_INJECTED;
    }
    d->fail_after -= d->fail_after > 1;
    if (size > MB_LARGEST_SIZE) {
        return MB_TOO_LARGE;
    }
    if (over_limit(domain, size)) {
        reclaim(domain);
    }
    return over_limit(domain, size) ? MB_OVER_LIMIT : MB_OK;
}

/* The pool was asked: it answered as expected, or said what only the system can know. */
void settle(size_t domain, size_t size, size_t alignment, mb_result expected, mb_result result)
{
    domain_model *d = &domains[domain];
    bool refusable = strained || size > ORDINARY || alignment > ORDINARY_ALIGNMENT;
    if (expected != MB_OK || !refusable) {
        CHECK_EQUAL(result, expected);
    } else if (result == MB_OK) {
        follow_reclaim(domain);
    } else {
        CHECK(result == MB_NO_MEMORY || (result == MB_NOT_LOCKED && d->lock_required));
        reclaim(domain);
    }
    d->failures += result != MB_OK;
}

/* ---- the model of bytes ------------------------------------------------------------------------ */

static void mark(const block_model *block)
{
    mb_block end = *block->real;
    fill(&end, block->size <= FILLED ? block->size : ENDS, block->seed);
    if (block->size > FILLED) {
        end.data += block->size - ENDS;
        fill(&end, ENDS, block->seed);
    }
}

static void check_mark(const block_model *block)
{
    mb_block end = *block->real;
    CHECK(mb_block_holder(block->real) == block);
    CHECK(filled(&end, block->size <= FILLED ? block->size : ENDS, block->seed));
    if (block->size > FILLED) {
        end.data += block->size - ENDS;
        CHECK(filled(&end, ENDS, block->seed));
    }
}

void check_zeroed(const unsigned char *data, size_t size)
{
    CHECK(data[0] == 0 && memcmp(data, data + 1, size - 1) == 0);
}

static void check_place(const block_model *block, size_t alignment)
{
    uintptr_t start = (uintptr_t)block->real->data, end = start + block->size;
    CHECK_EQUAL(start % alignment, 0);
    CHECK(block->size >= MB_PAGE ? start % MB_PAGE == 0 : start % MB_PAGE + block->size <= MB_PAGE);
    for (size_t i = 0; i < BLOCKS; i++) {
        const block_model *other = &blocks[i];
        if (other != block && other->real != NULL) {
            uintptr_t begin = (uintptr_t)other->real->data;
            CHECK(other->real != block->real);
            CHECK(end <= begin || start >= begin + other->size);
        }
    }
}

void enter(block_model *block, size_t alignment, bool zeroed)
{
    tag_model *tag = &domains[block->domain].tags[block->tag];
    tag->allocations++;
    tag->bytes += block->size;
    block->seed = (unsigned)tag->allocations;
    check_place(block, alignment);
    if (zeroed) {
        check_zeroed(block->real->data, block->size);
    }
    mark(block);
    mb_block_hold(block->real, block);
}

/* ---- ends --------------------------------------------------------------------------------------- */

/* What a closed domain or list is kept by went: the real ones are gone, and not touched again. */
void forget_what_ended(void)
{
    bool kept[DOMAINS] = {false};
    for (size_t i = 0; i < LISTS; i++) {
        if (lists[i].real != NULL && !lists[i].open && lists[i].out == 0) {
            lists[i].real = NULL;
        }
        kept[lists[i].domain] |= lists[i].real != NULL;
    }
    for (size_t i = 0; i < BLOCKS; i++) {
        kept[blocks[i].domain] |= blocks[i].real != NULL;
    }
    for (size_t i = 0; i < DOMAINS; i++) {
        if (domains[i].closed && domains[i].keeps == 0 && !kept[i]) {
            domains[i].real = NULL;
        }
    }
}

void give(block_model *block)
{
    if (block->real == NULL) {
        return;
    }
    check_mark(block);
    tag_model *tag = &domains[block->domain].tags[block->tag];
    list_model *list = block->list;
    mb_block *real = block->real;
    tag->frees++;
    tag->bytes -= block->size;
    block->real = NULL;
    mb_release(block->source, real, block->size);
    if (list != NULL) {
        list->out--;
        if (list->open && list->idle < list->depth) {
            list->stack[list->idle++] = real;
            if (list->zero_on_free) {
                check_zeroed(real->data, list->size);
            }
        }
    }
    forget_what_ended();
}

/* ---- the model of depth ------------------------------------------------------------------------- */

uint32_t first_depth(const list_model *list)
{
    return list->maximum < MB_FIRST_DEPTH ? list->maximum : MB_FIRST_DEPTH;
}

void retune(list_model *list)
{
    uint32_t floor = first_depth(list), half = list->low_water - list->low_water / 2;
    uint32_t depth = list->depth;
    if (list->misses > 0) {
        uint64_t step = list->misses < depth ? list->misses : depth;
        depth = depth + step < list->maximum ? (uint32_t)(depth + step) : list->maximum;
    } else if (list->low_water > 0) {
        depth = depth > floor + half ? depth - half : floor;
    }
    if (strained && list->real->depth == list->depth) { /* no room for a deeper stack */
        depth = list->depth;
    }
    list->depth = depth;
    list->misses = 0;
    list->idle = list->idle < depth ? list->idle : depth;
    list->low_water = list->idle;
    CHECK_EQUAL(list->real->depth, depth);
}

/* ---- checks after every call ------------------------------------------------------------------------ */

static int count_holder(mb_block *block, mb_pool pool, void *context)
{
    const block_model *holder = mb_block_holder(block);
    if (holder != NULL) {
        CHECK(holder >= blocks && holder < blocks + BLOCKS);
        CHECK(holder->real == block);
        CHECK_EQUAL(pool, domains[holder->domain].tags[holder->tag].real->pool);
        ++*(size_t *)context;
    }
    return 0;
}

static void check_tags(const domain_model *d)
{
    for (size_t i = 0; i < TAGS; i++) {
        const tag_model *tag = &d->tags[i];
        CHECK_EQUAL(tag->real->allocations, tag->allocations);
        CHECK_EQUAL(tag->real->frees, tag->frees);
        CHECK_EQUAL(tag->real->hits, tag->hits);
        CHECK_EQUAL(tag->real->bytes, tag->bytes);
        CHECK(tag->real->peak_bytes >= tag->bytes);
    }
}

static void check_domain(size_t domain)
{
    const domain_model *d = &domains[domain];
    size_t list_count = 0, held = 0, out = 0;
    for (size_t i = 0; i < LISTS; i++) {
        list_count += in_domain(&lists[i], domain);
    }
    for (size_t i = 0; i < BLOCKS; i++) {
        out += blocks[i].real != NULL && blocks[i].domain == domain;
    }
    mb_figures now = figures(d->real);
    CHECK_EQUAL(now.charged_bytes, charged_bytes(domain));
    CHECK_EQUAL(now.idle_bytes, idle_bytes(domain));
    CHECK_EQUAL(now.lists, list_count);
    CHECK_EQUAL(now.limit, d->limit);
    CHECK_EQUAL(now.failures, d->failures);
    CHECK_EQUAL(now.stale_blocks, d->stale);
    CHECK_EQUAL(now.stale_events, d->stale_events);
    CHECK(now.mapped_bytes >= now.charged_bytes);
    CHECK(now.locked_bytes + now.unlocked_bytes <= now.mapped_bytes);
    CHECK(!d->lock_required || now.unlocked_bytes == 0);
    CHECK_EQUAL(mb_domain_allocation_points(d->real), d->points);
    mb_domain_lock(d->real);
    mb_domain_walk(d->real, count_holder, &held);
    mb_domain_unlock(d->real);
    CHECK_EQUAL(held, out);
    check_tags(d);
}

void check_all(void)
{
    for (size_t i = 0; i < DOMAINS; i++) {
        if (domains[i].real != NULL) {
            check_domain(i);
        }
    }
    for (size_t i = 0; i < LISTS; i++) {
        if (lists[i].real != NULL) {
            CHECK_EQUAL(lists[i].real->idle, lists[i].idle);
            CHECK_EQUAL(mb_list_outstanding(lists[i].real), lists[i].out);
        }
    }
}
