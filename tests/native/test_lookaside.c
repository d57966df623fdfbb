/* Lookaside lists: order, counters, the rule of the depth, flushing, closing. */
#include "check.h"

#define SIZE 256u

static system_use before;
static mb_domain *domain;
static mb_tag *tag;

static mb_list *begin(uint32_t maximum_depth)
{
    before = system_in_use();
    domain = new_domain();
    tag = mb_tag_get(domain, TAG, MB_PAGED);
    return new_list(tag, SIZE, maximum_depth);
}

static void end(mb_list *list)
{
    mb_list_close(list);
    close_balanced(domain, before);
}

static void pop_many(mb_list *list, mb_block **blocks, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        blocks[i] = pop(list);
    }
}

static void push_many(mb_list *list, mb_block **blocks, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        mb_list_push(list, blocks[i]);
    }
}

static void a_new_list_is_empty(void)
{
    mb_list *list = begin(256);
    CHECK_EQUAL(list->depth, 4);
    CHECK_EQUAL(list->maximum_depth, 256);
    CHECK_EQUAL(list->idle, 0);
    CHECK_EQUAL(list->total_allocates + list->allocate_misses + list->total_frees + list->free_misses, 0);
    CHECK_EQUAL(figures(domain).charged_bytes, 0);
    end(list);
}

static void what_was_freed_last_comes_first(void)
{
    mb_list *list = begin(256);
    mb_block *blocks[4];
    pop_many(list, blocks, 4);
    push_many(list, blocks, 4);
    for (size_t i = 4; i-- > 0;) {
        CHECK(pop(list) == blocks[i]);
    }
    push_many(list, blocks, 4);
    end(list);
}

static void counters_follow_the_framework(void)
{
    mb_list *list = begin(256);
    mb_block *blocks[10];
    pop_many(list, blocks, 10);
    CHECK_EQUAL(list->total_allocates, 10);
    CHECK_EQUAL(list->allocate_misses, 10);
    CHECK_EQUAL(mb_list_outstanding(list), 10);
    push_many(list, blocks, 10);
    CHECK_EQUAL(list->idle, 4);
    CHECK_EQUAL(list->total_frees, 10);
    CHECK_EQUAL(list->free_misses, 6);
    pop_many(list, blocks, 5);
    CHECK_EQUAL(list->allocate_misses, 11);
    CHECK_EQUAL(tag->hits, 4);
    CHECK_EQUAL(tag->allocations, 15);
    push_many(list, blocks, 5);
    end(list);
}

/* ---- depth ------------------------------------------------------------------------------------ */

static void the_depth_grows_with_misses_and_no_faster_than_double(void)
{
    mb_list *list = begin(20);
    mb_block *blocks[64];
    static const uint32_t misses[] = {1, 3, 64, 64, 64}, depths[] = {5, 8, 16, 20, 20};
    for (size_t i = 0; i < 5; i++) {
        mb_list_flush(list);
        pop_many(list, blocks, misses[i]);
        push_many(list, blocks, misses[i]);
        mb_list_rebalance(list);
        CHECK_EQUAL(list->depth, depths[i]);
        CHECK(list->idle <= list->depth);
    }
    end(list);
}

static void deepen(mb_list *list)
{
    mb_block *blocks[64];
    while (list->depth < 64) {
        mb_list_flush(list);
        pop_many(list, blocks, 64);
        push_many(list, blocks, 64);
        mb_list_rebalance(list);
    }
    pop_many(list, blocks, 64);
    push_many(list, blocks, 64);
    mb_list_rebalance(list); /* the misses of the filling */
    CHECK_EQUAL(list->idle, 64);
}

static void the_depth_shrinks_by_half_of_what_lay_idle(void)
{
    mb_list *list = begin(64);
    deepen(list);
    mb_block *blocks[64];
    pop_many(list, blocks, 44);
    push_many(list, blocks, 44); /* 20 were never touched */
    mb_list_rebalance(list);
    CHECK_EQUAL(list->depth, 54);
    CHECK_EQUAL(list->idle, 54);
    CHECK_EQUAL(figures(domain).charged_bytes, 54 * SIZE); /* the surplus went back */
    mb_list_rebalance(list);
    CHECK_EQUAL(list->depth, 27);
    static const uint32_t depths[] = {13, 6, 4, 4};
    for (size_t i = 0; i < 4; i++) {
        mb_list_rebalance(list);
        CHECK_EQUAL(list->depth, depths[i]);
        CHECK(list->idle <= depths[i]);
    }
    end(list);
}

static void the_depth_stays_where_all_is_in_use(void)
{
    mb_list *list = begin(64);
    deepen(list);
    mb_block *blocks[64];
    pop_many(list, blocks, 64);
    push_many(list, blocks, 64);
    mb_list_rebalance(list);
    CHECK_EQUAL(list->depth, 64);
    end(list);
}

static void a_small_maximum_is_the_first_depth(void)
{
    mb_list *list = begin(2);
    mb_block *blocks[8];
    CHECK_EQUAL(list->depth, 2);
    pop_many(list, blocks, 8);
    push_many(list, blocks, 8);
    CHECK_EQUAL(list->idle, 2);
    mb_list_rebalance(list);
    CHECK_EQUAL(list->depth, 2);
    mb_list_rebalance(list);
    CHECK_EQUAL(list->depth, 2);
    end(list);
}

static void the_domain_rebalances_all_its_lists(void)
{
    mb_list *list = begin(64), *other = new_list(tag, 2 * SIZE, 64);
    mb_list_push(list, pop(list));
    mb_list_push(other, pop(other));
    mb_domain_rebalance(domain);
    CHECK_EQUAL(list->depth, 5);
    CHECK_EQUAL(other->depth, 5);
    mb_list_close(other);
    end(list);
}

/* ---- flush and close -------------------------------------------------------------------------- */

static void flush_frees_what_is_idle(void)
{
    mb_list *list = begin(64);
    mb_block *blocks[5];
    pop_many(list, blocks, 5);
    fill(blocks[4], SIZE, 9);
    push_many(list, blocks, 4);
    mb_list_flush(list);
    CHECK_EQUAL(list->idle, 0);
    CHECK_EQUAL(figures(domain).charged_bytes, SIZE);
    CHECK(filled(blocks[4], SIZE, 9));
    uint64_t misses = list->allocate_misses;
    mb_list_push(list, pop(list));
    CHECK_EQUAL(list->allocate_misses, misses + 1);
    mb_list_push(list, blocks[4]);
    end(list);
}

static void a_closed_list_goes_with_its_last_block(void)
{
    mb_list *list = begin(64);
    mb_block *blocks[3];
    pop_many(list, blocks, 3);
    mb_list_push(list, blocks[2]);
    mb_list_close(list);
    CHECK_EQUAL(figures(domain).lists, 1);
    CHECK_EQUAL(figures(domain).charged_bytes, 2 * SIZE); /* the idle one went at once */
    mb_release(&list->source, blocks[0], SIZE);
    CHECK_EQUAL(figures(domain).lists, 1);
    mb_release(&list->source, blocks[1], SIZE);
    CHECK_EQUAL(figures(domain).lists, 0);
    CHECK_EQUAL(figures(domain).charged_bytes, 0);
    close_balanced(domain, before);
}

/* ---- zeroing, alignment, size ------------------------------------------------------------------ */

static void check_zero(bool zero, bool zero_on_free)
{
    mb_list *list;
    CHECK_EQUAL(mb_list_new(tag, SIZE, MB_NATURAL_ALIGNMENT, 8, zero, zero_on_free, &list), MB_OK);
    mb_block *block = pop(list);
    fill(block, SIZE, 5);
    mb_list_push(list, block);
    CHECK_EQUAL(block->data[0] == 0, zero_on_free);
    CHECK(pop(list) == block);
    for (size_t i = 0; (zero || zero_on_free) && i < SIZE; i++) {
        CHECK_EQUAL(block->data[i], 0);
    }
    mb_list_push(list, block);
    mb_list_close(list);
}

static void blocks_are_zeroed_when_taken_or_when_freed(void)
{
    mb_list *list = begin(8);
    check_zero(false, false);
    check_zero(true, false);
    check_zero(false, true);
    check_zero(true, true);
    end(list);
}

static void lists_keep_alignment_and_size(void)
{
    static const size_t sizes[] = {1, 17, 4095, 4096, 4097, 300000};
    mb_list *list = begin(8);
    for (size_t alignment = 16; alignment <= 65536; alignment *= 4) {
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            mb_list *one;
            CHECK_EQUAL(mb_list_new(tag, sizes[i], alignment, 8, false, false, &one), MB_OK);
            mb_block *block = pop(one);
            CHECK_EQUAL((uintptr_t)block->data % alignment, 0);
            CHECK(sizes[i] < MB_PAGE || (uintptr_t)block->data % MB_PAGE == 0);
            fill(block, sizes[i], 1);
            mb_list_push(one, block);
            mb_list_close(one);
        }
    }
    end(list);
}

TESTS(TEST(a_new_list_is_empty), TEST(what_was_freed_last_comes_first), TEST(counters_follow_the_framework),
      TEST(the_depth_grows_with_misses_and_no_faster_than_double), TEST(the_depth_shrinks_by_half_of_what_lay_idle),
      TEST(the_depth_stays_where_all_is_in_use), TEST(a_small_maximum_is_the_first_depth),
      TEST(the_domain_rebalances_all_its_lists), TEST(flush_frees_what_is_idle),
      TEST(a_closed_list_goes_with_its_last_block), TEST(blocks_are_zeroed_when_taken_or_when_freed),
      TEST(lists_keep_alignment_and_size))
