#include "check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *running = "";

void check_fail(const char *file, int line, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fflush(stdout);
    fprintf(stderr, "%s:%d:%s%s: ", file, line, *running == '\0' ? "" : " in ", running);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(1);
}

static bool wanted(const char *name, int count, char **names)
{
    for (int i = 1; i < count; i++) {
        if (strcmp(names[i], name) == 0) {
            return true;
        }
    }
    return count == 1;
}

int check_run(const check_test *tests, size_t test_count, int count, char **names)
{
    int ran = 0;
    for (size_t i = 0; i < test_count; i++) {
        if (wanted(tests[i].name, count, names)) {
            running = tests[i].name;
            tests[i].run();
            printf("ok %s\n", tests[i].name);
            ran++;
        }
    }
    if (ran == 0) {
        fprintf(stderr, "%s: no such test\n", names[0]);
        return 1;
    }
    return 0;
}

/* ---- shorthands ------------------------------------------------------------------------------- */

mb_domain *new_limited_domain(uint64_t limit)
{
    mb_domain *domain = mb_domain_new(&(mb_options){.limit = limit});
    CHECK(domain != NULL);
    return domain;
}

mb_domain *new_domain(void)
{
    return new_limited_domain(0);
}

mb_block *take(mb_tag *tag, size_t size)
{
    mb_block *block = NULL;
    CHECK_EQUAL(mb_allocate(tag, size, MB_NATURAL_ALIGNMENT, 0, &block), MB_OK);
    mb_block_hold(block, block);
    return block;
}

mb_block *pop(mb_list *list)
{
    mb_block *block = NULL;
    CHECK_EQUAL(mb_list_pop(list, &block), MB_OK);
    mb_block_hold(block, block);
    return block;
}

mb_list *new_list(mb_tag *tag, size_t size, uint32_t maximum_depth)
{
    mb_list *list = NULL;
    CHECK_EQUAL(mb_list_new(tag, size, MB_NATURAL_ALIGNMENT, maximum_depth, false, false, &list), MB_OK);
    return list;
}

mb_figures figures(mb_domain *domain)
{
    mb_figures now;
    mb_domain_figures(domain, &now);
    return now;
}

static unsigned char pattern(size_t index, unsigned seed)
{
    return (unsigned char)(seed * 31u + index * 7u + (index >> 8) + 1u);
}

void fill(const mb_block *block, size_t size, unsigned seed)
{
    for (size_t i = 0; i < size; i++) {
        block->data[i] = pattern(i, seed);
    }
}

bool filled(const mb_block *block, size_t size, unsigned seed)
{
    for (size_t i = 0; i < size; i++) {
        if (block->data[i] != pattern(i, seed)) {
            return false;
        }
    }
    return true;
}

/* ---- accounts --------------------------------------------------------------------------------- */

static int count_block(mb_block *block, mb_pool pool, void *context)
{
    (void)pool;
    *(size_t *)context += mb_block_holder(block) != NULL;
    return 0;
}

static void check_tag_balanced(const mb_tag *tag)
{
    CHECK_EQUAL(tag->allocations, tag->frees);
    CHECK_EQUAL(tag->bytes, 0);
    CHECK(tag->hits <= tag->allocations);
    CHECK(tag->allocations == 0 || tag->peak_bytes > 0);
}

void check_balanced(mb_domain *domain)
{
    mb_figures now = figures(domain);
    size_t held = 0;
    CHECK_EQUAL(now.charged_bytes, now.idle_bytes);
    CHECK_EQUAL(now.stale_blocks, 0);
    mb_domain_lock(domain);
    mb_domain_walk(domain, count_block, &held);
    mb_domain_unlock(domain);
    CHECK_EQUAL(held, 0);
    for (size_t bucket = 0; bucket < mb_domain_tag_buckets(); bucket++) {
        for (mb_tag *tag = mb_domain_tag_at(domain, bucket); tag != NULL; tag = tag->next) {
            check_tag_balanced(tag);
        }
    }
    CHECK(now.peak_charged_bytes >= now.charged_bytes);
}

void close_balanced(mb_domain *domain, system_use before)
{
    check_balanced(domain);
    CHECK_EQUAL(figures(domain).lists, 0);
    mb_domain_close(domain);
    CHECK_RETURNED(before);
}
