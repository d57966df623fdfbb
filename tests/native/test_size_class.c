/* Sizes and alignments: what a caller is promised about the bytes of a block. */
#include "check.h"

#define LARGEST_TESTED ((size_t)300 << 10)
#define LARGEST_CLASS ((size_t)256 << 10)

static void classes_are_the_smallest_that_fit(void)
{
    int previous = 0;
    for (size_t size = 1; size <= LARGEST_CLASS; size++) {
        int index = mb_class_of(size, MB_NATURAL_ALIGNMENT);
        CHECK(index >= previous);
        CHECK(mb_class_size(index) >= size);
        CHECK(index == 0 || mb_class_size(index - 1) < size);
        previous = index;
    }
    CHECK_EQUAL(mb_class_size(previous), LARGEST_CLASS);
    CHECK_EQUAL(mb_class_of(LARGEST_CLASS + 1, MB_NATURAL_ALIGNMENT), -1);
}

static void classes_keep_alignments(void)
{
    for (size_t alignment = 16; alignment <= MB_PAGE; alignment *= 2) {
        for (size_t size = 1; size <= LARGEST_CLASS; size += size < 8192 ? 1 : 1021) {
            int index = mb_class_of(size, alignment);
            CHECK(index >= 0);
            CHECK(mb_class_size(index) >= size);
            CHECK_EQUAL(mb_class_size(index) % alignment, 0);
        }
    }
    CHECK_EQUAL(mb_class_of(16, 2 * MB_PAGE), -1);
}

/* At most a fifth of a block from a page up, and a third of one below, is not the caller's. */
static void classes_waste_little(void)
{
    for (size_t size = 129; size <= LARGEST_CLASS; size++) {
        size_t given = mb_class_size(mb_class_of(size, MB_NATURAL_ALIGNMENT));
        size_t rounded = size < MB_PAGE ? size : (size + MB_PAGE - 1) / MB_PAGE * MB_PAGE;
        size_t part = size < 1360 ? 3 : size < MB_PAGE ? 2 : 5;
        CHECK(given - rounded <= given / part);
    }
}

static void check_place(const mb_block *block, size_t size)
{
    uintptr_t address = (uintptr_t)block->data;
    if (size >= MB_PAGE) {
        CHECK_EQUAL(address % MB_PAGE, 0);
    } else {
        CHECK_EQUAL(address % MB_NATURAL_ALIGNMENT, 0);
        CHECK(address % MB_PAGE + size <= MB_PAGE);
    }
    block->data[0] = 1;
    block->data[size - 1] = 2;
}

static void every_size_is_placed_well(void)
{
    system_use before = system_in_use();
    mb_domain *domain = new_domain();
    mb_tag *tag = mb_tag_get(domain, TAG, MB_PAGED);
    for (size_t size = 1; size <= LARGEST_TESTED; size++) {
        mb_block *first = take(tag, size);
        mb_block *second = take(tag, size);
        check_place(first, size);
        check_place(second, size);
        CHECK(first->data + size <= second->data || second->data + size <= first->data);
        mb_free(tag, first, size);
        mb_free(tag, second, size);
    }
    close_balanced(domain, before);
}

static void every_alignment_is_kept(void)
{
    static const size_t sizes[] = {1, 15, 16, 17, 100, 2049, 4095, 4096, 4097, 65536, 300000, 3 << 20};
    system_use before = system_in_use();
    mb_domain *domain = new_domain();
    mb_tag *tag = mb_tag_get(domain, TAG, MB_PAGED);
    for (size_t alignment = 16; alignment <= (size_t)1 << 30; alignment *= 2) {
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            mb_block *block;
            CHECK_EQUAL(mb_allocate(tag, sizes[i], alignment, 0, &block), MB_OK);
            CHECK_EQUAL((uintptr_t)block->data % alignment, 0);
            check_place(block, sizes[i]);
            mb_free(tag, block, sizes[i]);
        }
    }
    close_balanced(domain, before);
}

static void absurd_sizes_are_refused(void)
{
    static const size_t sizes[] = {
        MB_LARGEST_SIZE + 1, (size_t)1 << 47, (size_t)1 << 62, (size_t)1 << 63,
        SIZE_MAX - 4096, SIZE_MAX - 4095, SIZE_MAX - 1, SIZE_MAX,
    };
    system_use before = system_in_use();
    mb_domain *domain = new_domain();
    mb_tag *tag = mb_tag_get(domain, TAG, MB_PAGED);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        mb_block *block;
        CHECK_EQUAL(mb_allocate(tag, sizes[i], MB_NATURAL_ALIGNMENT, MB_ZERO, &block), MB_TOO_LARGE);
        CHECK_EQUAL(figures(domain).failures, i + 1);
        CHECK_EQUAL(tag->allocations, 0);
    }
    mb_block *block;
    CHECK_EQUAL(mb_allocate(tag, MB_LARGEST_SIZE, MB_NATURAL_ALIGNMENT, 0, &block), MB_NO_MEMORY);
    for (size_t alignment = (size_t)1 << 48; alignment != 0; alignment *= 2) {
        CHECK_EQUAL(mb_allocate(tag, 16, alignment, 0, &block), MB_NO_MEMORY);
    }
    CHECK_EQUAL(figures(domain).mapped_bytes, 0);
    close_balanced(domain, before);
}

TESTS(TEST(classes_are_the_smallest_that_fit), TEST(classes_keep_alignments), TEST(classes_waste_little),
      TEST(every_size_is_placed_well), TEST(every_alignment_is_kept), TEST(absurd_sizes_are_refused))
