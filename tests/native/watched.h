/* Included before every file of the store under test: its system calls go through system.c. */
#ifndef MEMBUF_TESTS_WATCHED_H
#define MEMBUF_TESTS_WATCHED_H

#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/mman.h>

void *test_mmap(void *address, size_t size, int protection, int flags, int file, off_t offset);
int test_munmap(void *address, size_t size);
int test_mlock(const void *address, size_t size);
void *test_malloc(size_t size);
void *test_calloc(size_t count, size_t size);
void *test_realloc(void *old, size_t size);
void test_free(void *memory);

#ifndef MEMBUF_TESTS_SYSTEM
#define mmap(...) test_mmap(__VA_ARGS__)
#define munmap(...) test_munmap(__VA_ARGS__)
#define mlock(...) test_mlock(__VA_ARGS__)
#define malloc(...) test_malloc(__VA_ARGS__)
#define calloc(...) test_calloc(__VA_ARGS__)
#define realloc(...) test_realloc(__VA_ARGS__)
#define free(...) test_free(__VA_ARGS__)
#endif

#endif
