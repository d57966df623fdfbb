/* Locking non-paged memory: what was locked is counted, and what the system refused. */
#define _GNU_SOURCE
#include "check.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define LIMIT (3 * MB_LOCK_STEP)
#define NOBODY 65534

/* Runs in a child where so many bytes may be locked: a limit that root does not have. */
static void run_limited(rlim_t limit, void (*test)(void))
{
    fflush(stdout);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        struct rlimit locked = {limit, limit};
        CHECK_EQUAL(setrlimit(RLIMIT_MEMLOCK, &locked), 0);
        CHECK(geteuid() != 0 || setresuid(NOBODY, NOBODY, NOBODY) == 0);
        test();
        _exit(0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK_EQUAL(status, 0);
}

/* What the kernel counts as locked in this process, in bytes. */
static size_t locked_by_kernel(void)
{
    char line[256];
    size_t kilobytes = 0;
    FILE *status = fopen("/proc/self/status", "r");
    CHECK(status != NULL);
    while (fgets(line, sizeof line, status) != NULL) {
        if (sscanf(line, "VmLck: %zu kB", &kilobytes) == 1) {
            break;
        }
    }
    fclose(status);
    return kilobytes << 10;
}

static void best_effort(void)
{
    system_use before = system_in_use();
    size_t kernel_before = locked_by_kernel();
    mb_domain *domain = new_domain();
    mb_tag *tag = mb_tag_get(domain, TAG, MB_NONPAGED);
    mb_block *blocks[100];
    for (size_t i = 0; i < 100; i++) { /* 400 KiB where 192 may be locked */
        blocks[i] = take(tag, MB_PAGE);
        fill(blocks[i], MB_PAGE, (unsigned)i);
    }
    mb_figures now = figures(domain);
    CHECK_EQUAL(now.locked_bytes, LIMIT - kernel_before / MB_LOCK_STEP * MB_LOCK_STEP);
    CHECK_EQUAL(now.locked_bytes + now.unlocked_bytes, 7 * MB_LOCK_STEP);
    CHECK_EQUAL(locked_by_kernel() - kernel_before, now.locked_bytes);
    for (size_t i = 0; i < 100; i++) {
        CHECK(filled(blocks[i], MB_PAGE, (unsigned)i));
        mb_free(tag, blocks[i], MB_PAGE);
    }
    mb_domain_trim(domain);
    CHECK_EQUAL(figures(domain).locked_bytes, 0);
    CHECK_EQUAL(figures(domain).unlocked_bytes, 0);
    CHECK_EQUAL(locked_by_kernel(), kernel_before);
    close_balanced(domain, before);
}

static void the_limit_is_met_and_counted(void)
{
    run_limited(LIMIT, best_effort);
}

static void required(void)
{
    system_use before = system_in_use();
    mb_domain *domain = mb_domain_new(&(mb_options){.lock_required = true});
    mb_tag *tag = mb_tag_get(domain, TAG, MB_NONPAGED);
    mb_block *blocks[100], *block;
    size_t count = 0;
    while (count < 100 && mb_allocate(tag, MB_PAGE, MB_PAGE, 0, &block) == MB_OK) {
        blocks[count++] = block;
    }
    mb_figures now = figures(domain);
    CHECK_EQUAL(count * MB_PAGE, now.locked_bytes);
    CHECK(count > 0 && now.locked_bytes <= LIMIT);
    CHECK_EQUAL(now.unlocked_bytes, 0);
    CHECK_EQUAL(mb_allocate(tag, LIMIT + 1, MB_PAGE, 0, &block), MB_NOT_LOCKED);
    CHECK_EQUAL(mb_allocate(tag, (size_t)1 << 20, MB_PAGE, 0, &block), MB_NOT_LOCKED);
    CHECK_EQUAL(figures(domain).mapped_bytes, MB_REGION); /* nothing is left of what was refused */
    mb_free(mb_tag_get(domain, TAG, MB_PAGED), take(mb_tag_get(domain, TAG, MB_PAGED), 100), 100);
    for (size_t i = 0; i < count; i++) {
        mb_free(tag, blocks[i], MB_PAGE);
    }
    CHECK_EQUAL(mb_allocate(tag, MB_PAGE, MB_PAGE, 0, &block), MB_OK);
    mb_free(tag, block, MB_PAGE);
    close_balanced(domain, before);
}

static void required_locks_that_are_refused_fail(void)
{
    run_limited(LIMIT, required);
}

/* Idle blocks of a list are given up before non-paged memory is refused. */
static void reclaimed(void)
{
    system_use before = system_in_use();
    mb_domain *domain = mb_domain_new(&(mb_options){.lock_required = true});
    mb_tag *tag = mb_tag_get(domain, TAG, MB_NONPAGED);
    const size_t size = 2 * MB_LOCK_STEP;
    mb_list *list = new_list(tag, size, 4);
    mb_list_push(list, pop(list));
    CHECK_EQUAL(list->idle, 1);
    mb_block *block = take(tag, MB_PAGE * 40);
    CHECK_EQUAL(list->idle, 0);
    mb_free(tag, block, MB_PAGE * 40);
    mb_list_close(list);
    close_balanced(domain, before);
}

static void idle_blocks_give_way(void)
{
    run_limited(LIMIT, reclaimed);
}

static void nothing_can_be_locked(void)
{
    system_use before = system_in_use();
    mb_domain *domain = new_domain();
    mb_tag *tag = mb_tag_get(domain, TAG, MB_NONPAGED);
    system_fail_locks(1);
    mb_block *block = take(tag, 1);
    CHECK_EQUAL(figures(domain).locked_bytes, 0);
    CHECK_EQUAL(figures(domain).unlocked_bytes, MB_LOCK_STEP);
    system_fail_locks(0);
    mb_free(tag, block, 1);
    close_balanced(domain, before);
}

static void paged_memory_is_not_locked(void)
{
    system_use before = system_in_use();
    mb_domain *domain = new_domain();
    mb_tag *tag = mb_tag_get(domain, TAG, MB_PAGED);
    mb_block *block = take(tag, 300 << 10);
    CHECK_EQUAL(figures(domain).locked_bytes + figures(domain).unlocked_bytes, 0);
    mb_free(tag, block, 300 << 10);
    close_balanced(domain, before);
}

TESTS(TEST(the_limit_is_met_and_counted), TEST(required_locks_that_are_refused_fail), TEST(idle_blocks_give_way),
      TEST(nothing_can_be_locked), TEST(paged_memory_is_not_locked))
