/* Threads that take, give, share, close, trim and look, all at once: for ThreadSanitizer, and for
 * the accounts at the end. */
#include "check.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

enum { THREADS = 4, ROUNDS = 6000, SLOTS = 64, LISTS = 3, ENDS = 5000 };

typedef struct {
    mb_source *source;
    mb_block *block;
    size_t size;
    unsigned seed;
} parcel;

typedef struct {
    pthread_t thread;
    uint64_t random;
    mb_domain *domain;
    mb_list *own;
} worker;

static mb_list *shared[LISTS];
static parcel *mailbox[SLOTS]; /* what one thread took and another may give back */
static bool stop;

static uint64_t next_random(worker *self)
{
    self->random ^= self->random << 13;
    self->random ^= self->random >> 7;
    self->random ^= self->random << 17;
    return self->random;
}

static void start(worker *workers, size_t count, mb_domain *domain, void *(*run)(void *))
{
    for (size_t i = 0; i < count; i++) {
        workers[i] = (worker){.random = 88172645463325252u + i * 7919u, .domain = domain};
        CHECK_EQUAL(pthread_create(&workers[i].thread, NULL, run, &workers[i]), 0);
    }
}

static void join(worker *workers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        CHECK_EQUAL(pthread_join(workers[i].thread, NULL), 0);
    }
}

/* ---- taking and giving -------------------------------------------------------------------------- */

static bool choose(worker *self, parcel *out)
{
    static const size_t sizes[] = {24, 600, 4096, 20000, 300 << 10};
    uint64_t choice = next_random(self);
    mb_result result;
    if (choice % 4 != 0) {
        mb_list *list = choice % 4 == 1 ? self->own : shared[choice / 4 % LISTS];
        result = mb_list_pop(list, &out->block);
        out->source = &list->source;
        out->size = list->size;
    } else {
        mb_tag *tag = mb_tag_get(self->domain, TAG + (uint32_t)(choice / 4 % 8), MB_PAGED);
        out->size = sizes[choice / 32 % 5];
        result = mb_allocate(tag, out->size, MB_NATURAL_ALIGNMENT, choice % 8 == 0 ? MB_ZERO : 0, &out->block);
        out->source = &tag->source;
    }
    CHECK(result == MB_OK || result == MB_OVER_LIMIT);
    return result == MB_OK;
}

/* The whole of a small block, the ends of a large one: enough to see another's bytes. */
static size_t marked(size_t size)
{
    return size < 512 ? size : 512;
}

static parcel *make_parcel(worker *self)
{
    parcel *made = calloc(1, sizeof *made);
    CHECK(made != NULL);
    if (!choose(self, made)) {
        free(made);
        return NULL;
    }
    made->seed = (unsigned)next_random(self);
    fill(made->block, marked(made->size), made->seed);
    made->block->data[made->size - 1] = made->block->data[0];
    mb_block_hold(made->block, made);
    return made;
}

static void give_parcel(parcel *given)
{
    if (given == NULL) {
        return;
    }
    unsigned char first = given->block->data[0];
    CHECK(given->size < 512 || given->block->data[given->size - 1] == first);
    CHECK(filled(given->block, marked(given->size) - 1, given->seed));
    mb_release(given->source, given->block, given->size);
    free(given);
}

static void *exchange(void *argument)
{
    worker *self = argument;
    mb_tag *tag = mb_tag_get(self->domain, TAG, MB_NONPAGED);
    self->own = new_list(tag, 128, 32);
    for (int round = 0; round < ROUNDS; round++) {
        parcel *mine = make_parcel(self);
        size_t slot = next_random(self) % SLOTS;
        give_parcel(__atomic_exchange_n(&mailbox[slot], mine, __ATOMIC_ACQ_REL));
    }
    mb_list_close(self->own); /* others may still have blocks of it */
    return NULL;
}

/* ---- looking and tuning -------------------------------------------------------------------------- */

/* A holder seen in a walk can be looked into: whoever gives its block back waits for the walk. */
static int look(mb_block *block, mb_pool pool, void *context)
{
    const parcel *holder = mb_block_holder(block);
    (void)pool;
    if (holder != NULL) {
        CHECK(holder->block == block);
        ++*(size_t *)context;
    }
    return 0;
}

static void *supervise(void *argument)
{
    worker *self = argument;
    size_t held = 0;
    while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE)) {
        mb_domain_rebalance(self->domain);
        mb_list_rebalance(shared[0]);
        mb_list_flush(shared[1]);
        mb_domain_trim(self->domain);
        mb_domain_set_limit(self->domain, next_random(self) % 2 == 0 ? 0 : (uint64_t)4 << 20);
        mb_figures now = figures(self->domain);
        CHECK(now.idle_bytes <= now.peak_charged_bytes);
        mb_domain_lock(self->domain);
        mb_domain_walk(self->domain, look, &held);
        mb_domain_unlock(self->domain);
        for (size_t bucket = 0; bucket < mb_domain_tag_buckets(); bucket++) {
            for (mb_tag *tag = mb_domain_tag_at(self->domain, bucket); tag != NULL; tag = tag->next) {
                CHECK(mb_load(&tag->hits) <= mb_load(&tag->allocations));
            }
        }
    }
    return NULL;
}

static void empty_mailbox(void)
{
    for (size_t slot = 0; slot < SLOTS; slot++) {
        give_parcel(mailbox[slot]);
        mailbox[slot] = NULL;
    }
}

static void accounts_balance_after_threads(void)
{
    system_use before = system_in_use();
    worker workers[THREADS], supervisor;
    mb_domain *domain = mb_domain_new(&(mb_options){.auto_rebalance = true});
    mb_tag *tag = mb_tag_get(domain, TAG, MB_PAGED);
    for (size_t i = 0; i < LISTS; i++) {
        shared[i] = new_list(tag, (size_t)64 << (3 * i), 16);
    }
    stop = false;
    start(workers, THREADS, domain, exchange);
    start(&supervisor, 1, domain, supervise);
    join(workers, THREADS);
    __atomic_store_n(&stop, true, __ATOMIC_RELEASE);
    join(&supervisor, 1);
    empty_mailbox();
    for (size_t i = 0; i < LISTS; i++) {
        CHECK_EQUAL(mb_list_outstanding(shared[i]), 0);
        mb_list_close(shared[i]);
    }
    close_balanced(domain, before);
}

/* ---- ends --------------------------------------------------------------------------------------- */

enum { ENDERS = 2, KINDS = 4 };

/* What is over with the last of its parts; two threads take the parts away at the same moment. */
typedef struct {
    mb_domain *domain;
    mb_list *list;
    mb_block *blocks[ENDERS];
    mb_source *sources[ENDERS];
} ending;

static ending current;
static unsigned arrived;

/* Spins: a barrier that sleeps wakes the threads one after the other. */
static void meet(unsigned round)
{
    __atomic_add_fetch(&arrived, 1, __ATOMIC_ACQ_REL);
    for (unsigned spins = 0; __atomic_load_n(&arrived, __ATOMIC_ACQUIRE) < round * ENDERS; spins++) {
        if (spins > 10000) {
            sched_yield();
        }
    }
}

static void prepare(unsigned kind)
{
    current.domain = new_domain();
    mb_tag *tag = mb_tag_get(current.domain, TAG, MB_PAGED);
    current.list = new_list(tag, 64, 2);
    for (size_t i = 0; i < ENDERS; i++) {
        bool listed = kind < 2 || i == 0;
        current.blocks[i] = listed ? pop(current.list) : take(tag, 64);
        current.sources[i] = listed ? &current.list->source : &tag->source;
    }
    if (kind % 2 == 0) { /* else: while the blocks come back */
        mb_list_close(current.list);
        mb_domain_close(current.domain);
    }
}

static void *end_together(void *argument)
{
    size_t index = (size_t)((worker *)argument)->random;
    for (unsigned round = 1; round <= ENDS; round++) {
        unsigned kind = round % KINDS;
        if (index == 0) {
            prepare(kind);
        }
        meet(2 * round - 1);
        ending mine = current;
        meet(2 * round);
        mb_release(mine.sources[index], mine.blocks[index], 64);
        if (kind % 2 != 0 && index == 0) {
            mb_list_close(mine.list);
        } else if (kind % 2 != 0) {
            mb_domain_close(mine.domain);
        }
    }
    return NULL;
}

static void the_last_of_two_threads_ends_it(void)
{
    system_use before = system_in_use();
    worker workers[ENDERS];
    for (size_t i = 0; i < ENDERS; i++) {
        workers[i].random = i;
        CHECK_EQUAL(pthread_create(&workers[i].thread, NULL, end_together, &workers[i]), 0);
    }
    join(workers, ENDERS);
    CHECK_RETURNED(before);
}

/* ---- tags --------------------------------------------------------------------------------------- */

static void *make_tags(void *argument)
{
    worker *self = argument;
    for (uint32_t value = 0; value < 2000; value++) {
        mb_tag *tag = mb_tag_get(self->domain, TAG + value, MB_PAGED);
        CHECK(tag != NULL && tag == mb_tag_get(self->domain, TAG + value, MB_PAGED));
    }
    return NULL;
}

static void tags_are_seen_while_others_are_made(void)
{
    system_use before = system_in_use();
    worker workers[THREADS];
    mb_domain *domain = new_domain();
    start(workers, THREADS, domain, make_tags);
    size_t seen = 0;
    while (seen < 2000) {
        seen = 0;
        for (size_t bucket = 0; bucket < mb_domain_tag_buckets(); bucket++) {
            for (mb_tag *tag = mb_domain_tag_at(domain, bucket); tag != NULL; tag = tag->next) {
                CHECK(tag->value - TAG < 2000);
                seen++;
            }
        }
    }
    join(workers, THREADS);
    close_balanced(domain, before);
}

TESTS(TEST(accounts_balance_after_threads), TEST(the_last_of_two_threads_ends_it),
      TEST(tags_are_seen_while_others_are_made))
