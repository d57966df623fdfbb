/* Defects on purpose: each of these must make the checks of the other tests fail. Run with the name
 * of one; meson.build expects every run to end with a failure. */
#include "check.h"

#include <string.h>

static system_use before;
static mb_domain *domain;
static mb_tag *tag;

static void begin(void)
{
    before = system_in_use();
    domain = new_domain();
    tag = mb_tag_get(domain, TAG, MB_PAGED);
}

/* A block comes back with another size than it was taken with. */
static void wrong_size(void)
{
    begin();
    mb_free(tag, take(tag, 100), 99);
    close_balanced(domain, before);
}

/* A block never comes back. */
static void lost_block(void)
{
    begin();
    mb_block *block = take(tag, 100);
    CHECK(block != NULL);
    close_balanced(domain, before);
}

/* The block comes back, its region is never unmapped: something keeps the domain. */
static void lost_mapping(void)
{
    begin();
    mb_domain_keep(domain);
    mb_free(tag, take(tag, 100), 100);
    close_balanced(domain, before);
}

/* One byte beyond a block is the first of its neighbour's. */
static void overrun(void)
{
    begin();
    mb_block *first = take(tag, 64), *second = take(tag, 64);
    fill(second, 64, 1);
    memset(first->data, 0, 64 + 1);
    CHECK(filled(second, 64, 1));
    mb_free(tag, first, 64);
    mb_free(tag, second, 64);
    close_balanced(domain, before);
}

TESTS(TEST(wrong_size), TEST(lost_block), TEST(lost_mapping), TEST(overrun))
