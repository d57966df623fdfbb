/* A system that refuses: whichever call fails, the caller is told, nothing is lost, and the next
 * attempt works. */
#include "check.h"

enum { SIZES = 4, STEPS = 40 };
static const size_t sizes[SIZES] = {50, 4096, 100000, 400000};

static mb_result use_pool(mb_domain *domain)
{
    mb_tag *tag = mb_tag_get(domain, TAG, MB_NONPAGED);
    mb_block *blocks[SIZES];
    mb_result result = MB_OK;
    size_t taken = 0;
    if (tag == NULL) {
        return MB_NO_MEMORY;
    }
    while (taken < SIZES && result == MB_OK) {
        result = mb_allocate(tag, sizes[taken], MB_NATURAL_ALIGNMENT, MB_ZERO, &blocks[taken]);
        taken += result == MB_OK;
    }
    CHECK_EQUAL(tag->allocations - tag->frees, taken);
    for (size_t i = 0; i < taken; i++) {
        fill(blocks[i], sizes[i], (unsigned)i);
    }
    for (size_t i = 0; i < taken; i++) {
        CHECK(filled(blocks[i], sizes[i], (unsigned)i));
        mb_free(tag, blocks[i], sizes[i]);
    }
    return result;
}

static mb_result use_list(mb_domain *domain)
{
    mb_block *blocks[STEPS];
    mb_list *list;
    size_t taken = 0;
    mb_tag *tag = mb_tag_get(domain, TAG, MB_PAGED);
    mb_result result = tag == NULL ? MB_NO_MEMORY
                                   : mb_list_new(tag, 4096, MB_NATURAL_ALIGNMENT, 256, true, false, &list);
    if (result != MB_OK) {
        return result;
    }
    while (taken < STEPS && result == MB_OK) {
        result = mb_list_pop(list, &blocks[taken]);
        taken += result == MB_OK;
    }
    CHECK_EQUAL(mb_list_outstanding(list), taken);
    mb_list_rebalance(list); /* a refused stack leaves the depth as it is */
    CHECK(list->depth <= list->capacity);
    for (size_t i = 0; i < taken; i++) {
        mb_list_push(list, blocks[i]);
    }
    CHECK(list->idle <= list->depth);
    mb_list_close(list);
    return result;
}

/* Refuses the first call, then the second, ... until none of them is reached any more. */
static void sweep(void (*fail)(long long n), mb_result (*use)(mb_domain *domain), long long at_least)
{
    long long n = 1;
    for (mb_result result = MB_NO_MEMORY; result != MB_OK; n++) {
        system_use before = system_in_use();
        mb_domain *domain = new_domain();
        CHECK(n < 1000);
        fail(n);
        result = use(domain);
        CHECK(result == MB_OK || result == MB_NO_MEMORY);
        fail(0);
        CHECK_EQUAL(use(domain), MB_OK);
        close_balanced(domain, before);
    }
    CHECK(n > at_least); /* or the sweep swept nothing */
}

static void refused_mappings_of_the_pool(void)
{
    sweep(system_fail_maps, use_pool, 8); /* records, bytes and buckets for each of three regions */
}

static void refused_mappings_of_a_list(void)
{
    sweep(system_fail_maps, use_list, 2);
}

static void refused_heap_for_a_tag(void)
{
    sweep(system_fail_heap, use_pool, 1);
}

static void refused_heap_for_a_list(void)
{
    sweep(system_fail_heap, use_list, 3);
}

static void a_refused_domain(void)
{
    system_use before = system_in_use();
    system_fail_heap(1);
    CHECK(mb_domain_new(&(mb_options){0}) == NULL);
    system_fail_heap(0);
    CHECK_RETURNED(before);
}

/* More regions than the table was made for: it stays as it is, slower, and still right. */
static void a_table_that_cannot_grow(void)
{
    enum { MANY = 200 };
    system_use before = system_in_use();
    mb_domain *domain = new_domain();
    mb_tag *tag = mb_tag_get(domain, TAG, MB_PAGED);
    mb_block *blocks[MANY];
    for (size_t i = 0; i < MANY; i++) {
        if (i == domain->bucket_count && i > 0) {
            system_fail_maps(3); /* the records and the bytes are mapped first */
            mb_block *refused;
            mb_result result = mb_allocate(tag, 300 << 10, MB_PAGE, 0, &refused);
            system_fail_maps(0);
            CHECK_EQUAL(result, MB_OK);
            blocks[i] = refused;
        } else {
            blocks[i] = take(tag, 300 << 10);
        }
    }
    for (size_t i = 0; i < MANY; i++) {
        void *base;
        size_t mapped;
        CHECK(mb_region_hold(domain, blocks[i]->data, &base, &mapped));
        CHECK(base == blocks[i]->data);
        mb_region_unhold(domain, base);
        mb_free(tag, blocks[i], 300 << 10);
    }
    close_balanced(domain, before);
}

TESTS(TEST(refused_mappings_of_the_pool), TEST(refused_mappings_of_a_list), TEST(refused_heap_for_a_tag),
      TEST(refused_heap_for_a_list), TEST(a_refused_domain), TEST(a_table_that_cannot_grow))
