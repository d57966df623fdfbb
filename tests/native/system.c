/* The system calls of the store under test: counted, and refused when a test wants it. */
#define MEMBUF_TESTS_SYSTEM
#include "watched.h"

#include "check.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

static long long mapped_bytes, heap_blocks;
static long long map_countdown, heap_countdown, lock_countdown;
static bool pretended;

static long long add(long long *counter, long long change)
{
    return __atomic_add_fetch(counter, change, __ATOMIC_RELAXED);
}

static void set(long long *counter, long long value)
{
    __atomic_store_n(counter, value, __ATOMIC_RELAXED);
}

system_use system_in_use(void)
{
    return (system_use){.mapped_bytes = add(&mapped_bytes, 0), .heap_blocks = add(&heap_blocks, 0)};
}

void system_fail_maps(long long n)
{
    set(&map_countdown, n);
}

void system_fail_heap(long long n)
{
    set(&heap_countdown, n);
}

void system_fail_locks(long long n)
{
    set(&lock_countdown, n);
}

void system_pretend_locks(void)
{
    pretended = true;
}

/* 0: off; it stays at 1, where every call is refused. Only one thread injects. */
static bool refused(long long *countdown)
{
    long long left = add(countdown, 0);
    if (left > 1) {
        set(countdown, left - 1);
    }
    return left == 1;
}

/* ---- in the place of the real ones ------------------------------------------------------------- */

void *test_mmap(void *address, size_t size, int protection, int flags, int file, off_t offset)
{
    if (refused(&map_countdown)) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    void *memory = mmap(address, size, protection, flags, file, offset);
    if (memory != MAP_FAILED) {
        add(&mapped_bytes, (long long)size);
    }
    return memory;
}

int test_munmap(void *address, size_t size)
{
    int result = munmap(address, size);
    CHECK_EQUAL(result, 0);
    add(&mapped_bytes, -(long long)size);
    return result;
}

/* The system call itself: sanitizers make nothing of mlock(). */
int test_mlock(const void *address, size_t size)
{
    if (refused(&lock_countdown)) {
        errno = ENOMEM;
        return -1;
    }
    return pretended ? 0 : (int)syscall(SYS_mlock, address, size);
}

static void *counted(void *memory)
{
    add(&heap_blocks, memory != NULL);
    return memory;
}

void *test_malloc(size_t size)
{
    return refused(&heap_countdown) ? NULL : counted(malloc(size));
}

void *test_calloc(size_t count, size_t size)
{
    return refused(&heap_countdown) ? NULL : counted(calloc(count, size));
}

void *test_realloc(void *old, size_t size)
{
    if (refused(&heap_countdown)) {
        return NULL;
    }
    void *memory = realloc(old, size);
    add(&heap_blocks, memory != NULL && old == NULL);
    return memory;
}

void test_free(void *memory)
{
    add(&heap_blocks, -(memory != NULL));
    free(memory);
}
