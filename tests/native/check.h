/* What the C tests of the block store share: checks that end the program, and the store's system
 * calls under watch. */
#ifndef MEMBUF_TESTS_CHECK_H
#define MEMBUF_TESTS_CHECK_H

#include "internal.h"

typedef struct {
    const char *name;
    void (*run)(void);
} check_test;

#define TEST(function) {#function, function}
#define TESTS(...)                                                                                 \
    int main(int count, char **names)                                                              \
    {                                                                                              \
        static const check_test tests[] = {__VA_ARGS__};                                           \
        return check_run(tests, sizeof tests / sizeof *tests, count, names);                       \
    }

/* Runs all tests, or those named on the command line. */
int check_run(const check_test *tests, size_t test_count, int count, char **names);

_Noreturn void check_fail(const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            check_fail(__FILE__, __LINE__, "%s", #condition);                                      \
        }                                                                                          \
    } while (0)

#define CHECK_EQUAL(actual, expected)                                                              \
    do {                                                                                           \
        unsigned long long check_a = (unsigned long long)(actual);                                 \
        unsigned long long check_e = (unsigned long long)(expected);                               \
        if (check_a != check_e) {                                                                  \
            check_fail(__FILE__, __LINE__, "%s is %llu, expected %s = %llu", #actual, check_a,     \
                       #expected, check_e);                                                        \
        }                                                                                          \
    } while (0)

/* ---- the system under watch: system.c --------------------------------------------------------- */

/* The store under test calls these in the place of mmap, munmap, mlock, malloc, calloc, realloc
 * and free (watched.h), so that a test can count what is out and refuse a call. */
typedef struct {
    long long mapped_bytes, heap_blocks;
} system_use;

system_use system_in_use(void);
/* The n-th mapping, heap or locking call from now fails, and all later of the three; 0: none. */
void system_fail_maps(long long n);
void system_fail_heap(long long n);
void system_fail_locks(long long n);
/* From now on memory is not really locked, which would also fill it. */
void system_pretend_locks(void);
/* Nothing the store took since `before` is still out. */
#define CHECK_RETURNED(before)                                                                     \
    do {                                                                                           \
        CHECK_EQUAL(system_in_use().mapped_bytes, (before).mapped_bytes);                          \
        CHECK_EQUAL(system_in_use().heap_blocks, (before).heap_blocks);                            \
    } while (0)

/* ---- shorthands ------------------------------------------------------------------------------- */

mb_domain *new_domain(void); /* no limit, nothing automatic */
mb_domain *new_limited_domain(uint64_t limit);
mb_block *take(mb_tag *tag, size_t size); /* marked as held; fails the test if there is none */
mb_block *pop(mb_list *list);
mb_list *new_list(mb_tag *tag, size_t size, uint32_t maximum_depth);
mb_figures figures(mb_domain *domain);
void fill(const mb_block *block, size_t size, unsigned seed);
bool filled(const mb_block *block, size_t size, unsigned seed);

/* The accounts of a domain that holds nothing: every block and byte home, and the tags agree. */
void check_balanced(mb_domain *domain);
/* Closes a balanced domain; all it took from the system must be back. */
void close_balanced(mb_domain *domain, system_use before);

#define TAG 0x74736554u /* Test */

#endif
