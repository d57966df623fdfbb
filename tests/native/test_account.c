/* Tags, figures, limits and faults: who holds how much, and when it is refused. */
#include "check.h"

#define OTHER_TAG 0x6568744Fu /* Othe */

static void tags_count_what_users_hold(void)
{
    system_use before = system_in_use();
    mb_domain *domain = new_domain();
    mb_tag *tag = mb_tag_get(domain, TAG, MB_PAGED);
    mb_block *first = take(tag, 1000), *second = take(tag, 50);
    CHECK_EQUAL(tag->allocations, 2);
    CHECK_EQUAL(tag->bytes, 1050);
    mb_free(tag, first, 1000);
    CHECK_EQUAL(tag->frees, 1);
    CHECK_EQUAL(tag->bytes, 50);
    first = take(tag, 700);
    CHECK_EQUAL(tag->peak_bytes, 1050);
    mb_free(tag, first, 700);
    first = take(tag, 1001);
    CHECK_EQUAL(tag->peak_bytes, 1051);
    CHECK_EQUAL(tag->hits, 0);
    mb_free(tag, first, 1001);
    mb_free(tag, second, 50);
    close_balanced(domain, before);
}

static void a_tag_is_one_for_each_value_and_pool(void)
{
    system_use before = system_in_use();
    mb_domain *domain = new_domain();
    mb_tag *tags[300];
    for (uint32_t i = 0; i < 300; i++) {
        tags[i] = mb_tag_get(domain, TAG + i, i % 2 == 0 ? MB_PAGED : MB_NONPAGED);
        CHECK_EQUAL(tags[i]->value, TAG + i);
    }
    size_t found = 0;
    for (size_t bucket = 0; bucket < mb_domain_tag_buckets(); bucket++) {
        for (mb_tag *tag = mb_domain_tag_at(domain, bucket); tag != NULL; tag = tag->next) {
            CHECK(tag == tags[tag->value - TAG]);
            CHECK(tag == mb_tag_get(domain, tag->value, tag->pool));
            found++;
        }
    }
    CHECK_EQUAL(found, 300);
    CHECK(mb_domain_tag_at(domain, mb_domain_tag_buckets()) == NULL);
    CHECK(mb_tag_get(domain, TAG, MB_NONPAGED) != tags[0]);
    close_balanced(domain, before);
}

static void figures_count_what_the_pool_gave(void)
{
    system_use before = system_in_use();
    mb_domain *domain = new_domain();
    mb_tag *tag = mb_tag_get(domain, TAG, MB_PAGED), *other = mb_tag_get(domain, OTHER_TAG, MB_PAGED);
    mb_list *list = new_list(other, 100, 8);
    mb_block *direct = take(tag, 1000), *listed = pop(list);
    CHECK_EQUAL(figures(domain).charged_bytes, 1100);
    CHECK_EQUAL(figures(domain).idle_bytes, 0);
    CHECK_EQUAL(figures(domain).lists, 1);
    mb_list_push(list, listed);
    CHECK_EQUAL(figures(domain).charged_bytes, 1100); /* idle, yet the list's */
    CHECK_EQUAL(figures(domain).idle_bytes, 100);
    mb_free(tag, direct, 1000);
    CHECK_EQUAL(figures(domain).charged_bytes, 100);
    CHECK_EQUAL(figures(domain).peak_charged_bytes, 1100);
    mb_list_close(list);
    CHECK_EQUAL(figures(domain).charged_bytes, 0);
    close_balanced(domain, before);
}

static void stale_blocks_are_counted(void)
{
    mb_domain *domain = new_domain();
    mb_domain_stale(domain, 1);
    mb_domain_stale(domain, 1);
    mb_domain_stale(domain, -1);
    CHECK_EQUAL(figures(domain).stale_blocks, 1);
    CHECK_EQUAL(figures(domain).stale_events, 2);
    mb_domain_close(domain);
}

/* ---- limits ----------------------------------------------------------------------------------- */

static void the_limit_is_met_to_the_byte(void)
{
    system_use before = system_in_use();
    mb_domain *domain = new_limited_domain(1000);
    mb_tag *tag = mb_tag_get(domain, TAG, MB_PAGED);
    mb_block *block;
    CHECK_EQUAL(figures(domain).limit, 1000);
    CHECK_EQUAL(mb_allocate(tag, 1001, MB_NATURAL_ALIGNMENT, 0, &block), MB_OVER_LIMIT);
    mb_block *most = take(tag, 999), *last = take(tag, 1);
    CHECK_EQUAL(mb_allocate(tag, 1, MB_NATURAL_ALIGNMENT, 0, &block), MB_OVER_LIMIT);
    CHECK_EQUAL(mb_allocate(tag, MB_LARGEST_SIZE, MB_NATURAL_ALIGNMENT, 0, &block), MB_OVER_LIMIT);
    CHECK_EQUAL(figures(domain).failures, 3);
    CHECK_EQUAL(tag->allocations, 2);
    mb_domain_set_limit(domain, 500); /* below what is out: what is out stays */
    mb_free(tag, last, 1);
    CHECK_EQUAL(mb_allocate(tag, 1, MB_NATURAL_ALIGNMENT, 0, &block), MB_OVER_LIMIT);
    mb_domain_set_limit(domain, 0);
    last = take(tag, 5000);
    mb_free(tag, last, 5000);
    mb_free(tag, most, 999);
    close_balanced(domain, before);
}

static void idle_blocks_give_way_before_the_limit_refuses(void)
{
    system_use before = system_in_use();
    mb_domain *domain = new_limited_domain(1000);
    mb_tag *tag = mb_tag_get(domain, TAG, MB_PAGED);
    mb_list *first = new_list(tag, 300, 8), *second = new_list(tag, 200, 8);
    mb_block *one = pop(first), *two = pop(first), *three = pop(second);
    mb_list_push(first, one);
    mb_list_push(first, two);
    mb_list_push(second, three);
    CHECK_EQUAL(figures(domain).idle_bytes, 800);
    mb_block *block = take(tag, 200); /* fits beside them */
    CHECK_EQUAL(figures(domain).idle_bytes, 800);
    mb_block *large = take(tag, 800); /* does not */
    CHECK_EQUAL(figures(domain).idle_bytes, 0);
    CHECK_EQUAL(figures(domain).failures, 0);
    CHECK_EQUAL(mb_list_pop(first, &one), MB_OVER_LIMIT);
    CHECK_EQUAL(first->failures, 1);
    CHECK_EQUAL(mb_list_outstanding(first), 0);
    mb_free(tag, block, 200);
    mb_free(tag, large, 800);
    mb_list_close(first);
    mb_list_close(second);
    close_balanced(domain, before);
}

/* ---- faults ----------------------------------------------------------------------------------- */

static void the_nth_allocation_and_all_later_fail(void)
{
    system_use before = system_in_use();
    mb_domain *domain = new_domain();
    mb_tag *tag = mb_tag_get(domain, TAG, MB_PAGED);
    mb_block *block;
    mb_domain_set_faults(domain, 3);
    mb_block *first = take(tag, 10), *second = take(tag, 20);
    for (int i = 0; i < 3; i++) {
        CHECK_EQUAL(mb_allocate(tag, 10, MB_NATURAL_ALIGNMENT, 0, &block), MB_INJECTED);
    }
    CHECK_EQUAL(figures(domain).failures, 3);
    CHECK_EQUAL(mb_domain_allocation_points(domain), 5);
    mb_domain_set_faults(domain, 0);
    mb_block *third = take(tag, 30);
    CHECK_EQUAL(tag->allocations, 3);
    mb_free(tag, first, 10);
    mb_free(tag, second, 20);
    mb_free(tag, third, 30);
    close_balanced(domain, before);
}

static void hits_are_no_allocation_points(void)
{
    system_use before = system_in_use();
    mb_domain *domain = new_domain();
    mb_list *list = new_list(mb_tag_get(domain, TAG, MB_PAGED), 64, 4);
    mb_list_push(list, pop(list));
    mb_domain_set_faults(domain, 1);
    mb_block *hit = pop(list), *miss;
    CHECK_EQUAL(mb_list_pop(list, &miss), MB_INJECTED);
    CHECK_EQUAL(mb_domain_allocation_points(domain), 2);
    mb_list_push(list, hit);
    mb_list_close(list);
    close_balanced(domain, before);
}

TESTS(TEST(tags_count_what_users_hold), TEST(a_tag_is_one_for_each_value_and_pool),
      TEST(figures_count_what_the_pool_gave), TEST(stale_blocks_are_counted), TEST(the_limit_is_met_to_the_byte),
      TEST(idle_blocks_give_way_before_the_limit_refuses), TEST(the_nth_allocation_and_all_later_fail),
      TEST(hits_are_no_allocation_points))
