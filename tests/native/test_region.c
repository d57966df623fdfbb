/* Regions: reuse, trimming, the cache of large blocks, holds, and finding the region of an address. */
#include "check.h"

#define PER_REGION (MB_REGION / MB_PAGE) /* blocks of a page */
#define LARGE ((size_t)300 << 10)        /* a mapping of its own */

static system_use before;
static mb_domain *domain;
static mb_tag *tag;

static void begin(void)
{
    before = system_in_use();
    domain = new_domain();
    tag = mb_tag_get(domain, TAG, MB_PAGED);
}

static void the_block_freed_last_comes_first(void)
{
    begin();
    mb_block *blocks[8];
    for (size_t i = 0; i < 8; i++) {
        blocks[i] = take(tag, 1000);
    }
    for (size_t i = 0; i < 8; i++) {
        mb_free(tag, blocks[i], 1000);
    }
    for (size_t i = 8; i-- > 0;) {
        CHECK(take(tag, 1000) == blocks[i]);
    }
    for (size_t i = 0; i < 8; i++) {
        mb_free(tag, blocks[i], 1000);
    }
    close_balanced(domain, before);
}

static void a_region_is_used_up_before_the_next(void)
{
    begin();
    mb_block *blocks[PER_REGION + 1];
    for (size_t i = 0; i <= PER_REGION; i++) {
        CHECK_EQUAL(figures(domain).regions, i == 0 ? 0 : 1);
        blocks[i] = take(tag, MB_PAGE);
        fill(blocks[i], MB_PAGE, (unsigned)i);
    }
    CHECK_EQUAL(figures(domain).regions, 2);
    CHECK_EQUAL(figures(domain).mapped_bytes, 2 * MB_REGION);
    for (size_t i = 0; i <= PER_REGION; i++) {
        CHECK(filled(blocks[i], MB_PAGE, (unsigned)i));
        mb_free(tag, blocks[i], MB_PAGE);
    }
    close_balanced(domain, before);
}

static void trim_unmaps_what_is_empty_and_no_more(void)
{
    begin();
    mb_block *blocks[PER_REGION + 1];
    for (size_t i = 0; i <= PER_REGION; i++) {
        blocks[i] = take(tag, MB_PAGE);
    }
    for (size_t i = 1; i <= PER_REGION; i++) { /* the second region is empty, one block is left in the first */
        mb_free(tag, blocks[i], MB_PAGE);
    }
    fill(blocks[0], MB_PAGE, 7);
    CHECK_EQUAL(mb_domain_trim(domain), MB_REGION);
    CHECK_EQUAL(mb_domain_trim(domain), 0);
    CHECK(filled(blocks[0], MB_PAGE, 7));
    CHECK_EQUAL(figures(domain).mapped_bytes, MB_REGION);
    mb_free(tag, blocks[0], MB_PAGE);
    CHECK_EQUAL(mb_domain_trim(domain), MB_REGION);
    CHECK_EQUAL(figures(domain).regions, 0);
    mb_free(tag, take(tag, MB_PAGE), MB_PAGE); /* and there is a way back */
    close_balanced(domain, before);
}

static void empty_regions_go_after_two_idle_ticks(void)
{
    begin();
    mb_free(tag, take(tag, 64), 64);
    mb_free(tag, take(tag, LARGE), LARGE);
    for (int tick = 0; tick < MB_IDLE_TICKS; tick++) {
        mb_domain_rebalance(domain);
        CHECK_EQUAL(figures(domain).regions, 2);
    }
    mb_free(tag, take(tag, 64), 64); /* in use again: its count starts anew */
    mb_domain_rebalance(domain);
    CHECK_EQUAL(figures(domain).regions, 1);
    mb_domain_rebalance(domain);
    CHECK_EQUAL(figures(domain).regions, 1);
    mb_domain_rebalance(domain);
    CHECK_EQUAL(figures(domain).regions, 0);
    close_balanced(domain, before);
}

/* ---- large blocks ----------------------------------------------------------------------------- */

static void large_blocks_are_kept_for_the_next(void)
{
    begin();
    mb_block *first = take(tag, LARGE);
    unsigned char *data = first->data;
    mb_free(tag, first, LARGE);
    CHECK(take(tag, LARGE - 1)->data == data); /* as many pages */
    mb_block *second = take(tag, LARGE);
    CHECK(second->data != data);
    mb_free(tag, first, LARGE - 1);
    mb_block *longer = take(tag, LARGE + MB_PAGE);
    CHECK(longer->data != data);
    CHECK_EQUAL(figures(domain).regions, 3);
    mb_free(tag, second, LARGE);
    mb_free(tag, longer, LARGE + MB_PAGE);
    mb_domain_trim(domain);
    CHECK_EQUAL(figures(domain).regions, 0);
    close_balanced(domain, before);
}

static void large_blocks_of_the_other_pool_are_not_taken(void)
{
    begin();
    mb_tag *nonpaged = mb_tag_get(domain, TAG, MB_NONPAGED);
    mb_free(tag, take(tag, LARGE), LARGE);
    mb_block *block = take(nonpaged, LARGE);
    CHECK_EQUAL(figures(domain).regions, 2);
    mb_free(nonpaged, block, LARGE);
    close_balanced(domain, before);
}

/* Paged and never written: address space alone. */
static void the_longest_idle_large_block_goes_first(void)
{
    begin();
    const size_t size = MB_LARGE_IDLE_LIMIT / 4;
    mb_block *blocks[5];
    void *data[5];
    for (size_t i = 0; i < 5; i++) {
        blocks[i] = take(tag, size);
        data[i] = blocks[i]->data;
    }
    for (size_t i = 0; i < 5; i++) {
        mb_free(tag, blocks[i], size);
    }
    CHECK_EQUAL(figures(domain).mapped_bytes, MB_LARGE_IDLE_LIMIT);
    for (size_t i = 5; i-- > 1;) { /* what is left is the newest four, the last first */
        blocks[i] = take(tag, size);
        CHECK(blocks[i]->data == data[i]);
    }
    for (size_t i = 1; i < 5; i++) {
        mb_free(tag, blocks[i], size);
    }
    mb_free(tag, take(tag, 2 * MB_LARGE_IDLE_LIMIT), 2 * MB_LARGE_IDLE_LIMIT); /* more than may idle at all */
    CHECK_EQUAL(figures(domain).mapped_bytes, 0);
    close_balanced(domain, before);
}

/* ---- zeroing ---------------------------------------------------------------------------------- */

static void check_zeroed(size_t size)
{
    mb_block *block = take(tag, size);
    fill(block, size, 1);
    mb_free(tag, block, size);
    CHECK_EQUAL(mb_allocate(tag, size, MB_NATURAL_ALIGNMENT, MB_ZERO, &block), MB_OK);
    for (size_t i = 0; i < size; i++) {
        CHECK_EQUAL(block->data[i], 0);
    }
    mb_free(tag, block, size);
}

static void used_blocks_are_zeroed_on_request(void)
{
    static const size_t sizes[] = {1, 100, 4095, 4096, 10000, 262144, LARGE, 3 << 20};
    begin();
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        check_zeroed(sizes[i]);
    }
    close_balanced(domain, before);
}

static void blocks_are_zeroed_when_freed_if_the_domain_says_so(void)
{
    before = system_in_use();
    domain = mb_domain_new(&(mb_options){.zero_on_free = true});
    tag = mb_tag_get(domain, TAG, MB_PAGED);
    mb_block *block = take(tag, 5000);
    fill(block, 5000, 1);
    unsigned char *data = block->data; /* still mapped: the region keeps it */
    mb_free(tag, block, 5000);
    for (size_t i = 0; i < 5000; i++) {
        CHECK_EQUAL(data[i], 0);
    }
    close_balanced(domain, before);
}

/* ---- holds and addresses ---------------------------------------------------------------------- */

static void check_held(size_t size)
{
    void *base;
    size_t mapped;
    mb_block *block = take(tag, size);
    void *address = block->data + (size < MB_PAGE ? size - 1 : 0);
    CHECK(mb_region_hold(domain, address, &base, &mapped));
    CHECK(mb_region_hold(domain, block->data, &base, &mapped));
    CHECK(block->data >= (unsigned char *)base && block->data + size <= (unsigned char *)base + mapped);
    mb_free(tag, block, size);
    CHECK_EQUAL(mb_domain_trim(domain), 0);
    mb_region_unhold(domain, base);
    CHECK_EQUAL(mb_domain_trim(domain), 0);
    ((unsigned char *)base)[mapped - 1] = 1; /* still mapped */
    mb_region_unhold(domain, base);
    CHECK_EQUAL(mb_domain_trim(domain), mapped);
}

static void held_regions_stay_mapped(void)
{
    begin();
    check_held(100);
    check_held(MB_PAGE);
    check_held(LARGE);
    close_balanced(domain, before);
}

static void held_large_blocks_are_not_pushed_out(void)
{
    begin();
    void *base, *other_base;
    size_t mapped;
    mb_block *block = take(tag, MB_LARGE_IDLE_LIMIT);
    mb_block *other = take(tag, MB_LARGE_IDLE_LIMIT + MB_PAGE);
    CHECK(mb_region_hold(domain, block->data, &base, &mapped));
    CHECK(mb_region_hold(domain, other->data, &other_base, &mapped));
    mb_free(tag, block, MB_LARGE_IDLE_LIMIT);
    mb_free(tag, other, MB_LARGE_IDLE_LIMIT + MB_PAGE);
    CHECK_EQUAL(figures(domain).regions, 2);
    mb_region_unhold(domain, other_base);
    mb_free(tag, take(tag, LARGE), LARGE); /* the next free looks for what may go */
    CHECK_EQUAL(figures(domain).mapped_bytes, MB_LARGE_IDLE_LIMIT);
    *(unsigned char *)base = 1;
    mb_region_unhold(domain, base);
    mb_domain_trim(domain);
    CHECK_EQUAL(figures(domain).mapped_bytes, 0);
    close_balanced(domain, before);
}

static void an_address_outside_is_not_held(void)
{
    begin();
    void *base;
    size_t mapped;
    int outside;
    CHECK(!mb_region_hold(domain, &outside, &base, &mapped)); /* no region at all */
    mb_block *block = take(tag, 100);
    CHECK(!mb_region_hold(domain, &outside, &base, &mapped));
    CHECK(!mb_region_hold(domain, NULL, &base, &mapped));
    mb_free(tag, block, 100);
    close_balanced(domain, before);
}

enum { MANY = 500 };

static void regions_are_found_however_many(void)
{
    begin();
    static mb_block *blocks[MANY];
    for (size_t i = 0; i < MANY; i++) {
        blocks[i] = take(tag, LARGE);
    }
    CHECK_EQUAL(figures(domain).regions, MANY);
    for (size_t i = 0; i < MANY; i++) {
        void *base;
        size_t mapped;
        CHECK(mb_region_hold(domain, blocks[i]->data, &base, &mapped));
        CHECK(base == blocks[i]->data);
        mb_region_unhold(domain, base);
    }
    for (size_t i = 0; i < MANY; i++) { /* in an order of its own */
        mb_free(tag, blocks[i * 7 % MANY], LARGE);
    }
    CHECK_EQUAL(figures(domain).charged_bytes, 0);
    close_balanced(domain, before);
}

TESTS(TEST(the_block_freed_last_comes_first), TEST(a_region_is_used_up_before_the_next),
      TEST(trim_unmaps_what_is_empty_and_no_more), TEST(empty_regions_go_after_two_idle_ticks),
      TEST(large_blocks_are_kept_for_the_next), TEST(large_blocks_of_the_other_pool_are_not_taken),
      TEST(the_longest_idle_large_block_goes_first), TEST(used_blocks_are_zeroed_on_request),
      TEST(blocks_are_zeroed_when_freed_if_the_domain_says_so), TEST(held_regions_stay_mapped),
      TEST(held_large_blocks_are_not_pushed_out), TEST(an_address_outside_is_not_held),
      TEST(regions_are_found_however_many))
