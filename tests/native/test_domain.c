/* Domains: their end in every order, and the walk over what is held. */
#include "check.h"

#define SIZE 5000u

/* ---- the end ---------------------------------------------------------------------------------- */

/* What keeps a closed domain: each of these is undone once, in any order. */
enum { CLOSE, LIST, LISTED_BLOCK, BLOCK, LARGE_BLOCK, KEEP, STEPS };

typedef struct {
    mb_domain *domain;
    mb_tag *tag;
    mb_list *list;
    mb_block *listed, *block, *large;
} scene;

static void set(scene *s)
{
    s->domain = new_domain();
    s->tag = mb_tag_get(s->domain, TAG, MB_PAGED);
    s->list = new_list(s->tag, SIZE, 8);
    s->listed = pop(s->list);
    mb_block *idle = pop(s->list);
    mb_list_push(s->list, idle);
    s->block = take(s->tag, SIZE);
    s->large = take(s->tag, 300 << 10);
    mb_domain_keep(s->domain);
    fill(s->listed, SIZE, LISTED_BLOCK);
    fill(s->block, SIZE, BLOCK);
    fill(s->large, 300 << 10, LARGE_BLOCK);
}

static void undo(scene *s, int step)
{
    switch (step) {
    case CLOSE:
        mb_domain_close(s->domain);
        break;
    case LIST:
        mb_list_close(s->list);
        break;
    case LISTED_BLOCK:
        CHECK(filled(s->listed, SIZE, LISTED_BLOCK));
        mb_release(&s->list->source, s->listed, SIZE);
        break;
    case BLOCK:
        CHECK(filled(s->block, SIZE, BLOCK));
        mb_release(&s->tag->source, s->block, SIZE);
        break;
    case LARGE_BLOCK:
        CHECK(filled(s->large, 300 << 10, LARGE_BLOCK));
        mb_release(&s->tag->source, s->large, 300 << 10);
        break;
    default:
        mb_domain_unkeep(s->domain);
        break;
    }
}

/* Until the last step the domain answers; with it everything is back. */
static void play(const int *order)
{
    system_use before = system_in_use();
    scene s;
    set(&s);
    for (int i = 0; i < STEPS; i++) {
        mb_domain_figures(s.domain, &(mb_figures){0});
        undo(&s, order[i]);
        CHECK(i == STEPS - 1 || system_in_use().heap_blocks > before.heap_blocks);
    }
    CHECK_RETURNED(before);
}

static int permute(int *order, int fixed)
{
    if (fixed == STEPS) {
        play(order);
        return 1;
    }
    int played = 0;
    for (int i = fixed; i < STEPS; i++) {
        int chosen = order[i];
        order[i] = order[fixed];
        order[fixed] = chosen;
        played += permute(order, fixed + 1);
        order[fixed] = order[i];
        order[i] = chosen;
    }
    return played;
}

static void a_domain_ends_with_the_last_thing_that_kept_it(void)
{
    int order[STEPS] = {CLOSE, LIST, LISTED_BLOCK, BLOCK, LARGE_BLOCK, KEEP};
    CHECK_EQUAL(permute(order, 0), 720);
}

static void an_unused_domain_ends_at_once(void)
{
    system_use before = system_in_use();
    mb_domain_close(new_domain());
    CHECK_RETURNED(before);
}

static void a_held_region_is_kept_by_its_keep(void)
{
    system_use before = system_in_use();
    void *base;
    size_t mapped;
    mb_domain *domain = new_domain();
    mb_tag *tag = mb_tag_get(domain, TAG, MB_PAGED);
    mb_block *block = take(tag, SIZE);
    mb_domain_keep(domain);
    CHECK(mb_region_hold(domain, block->data, &base, &mapped));
    mb_free(tag, block, SIZE);
    mb_domain_close(domain);
    ((unsigned char *)base)[0] = 1;
    ((unsigned char *)base)[mapped - 1] = 1;
    mb_region_unhold(domain, base);
    mb_domain_unkeep(domain);
    CHECK_RETURNED(before);
}

/* ---- the walk --------------------------------------------------------------------------------- */

enum { BLOCKS = 400, STOPPED = 77 };

typedef struct {
    mb_block *found[BLOCKS];
    mb_pool pools[BLOCKS];
    size_t count, stop_after;
} visit_log;

static int note(mb_block *block, mb_pool pool, void *context)
{
    visit_log *log = context;
    void *holder = mb_block_holder(block);
    if (holder == NULL) {
        return 0;
    }
    CHECK(holder == block);
    CHECK(log->count < BLOCKS);
    log->pools[log->count] = pool;
    log->found[log->count++] = block;
    return log->count == log->stop_after ? STOPPED : 0;
}

static int walk(mb_domain *domain, visit_log *log)
{
    mb_domain_lock(domain);
    int result = mb_domain_walk(domain, note, log);
    mb_domain_unlock(domain);
    return result;
}

static bool contains(const visit_log *log, const mb_block *block, mb_pool pool)
{
    size_t times = 0;
    for (size_t i = 0; i < log->count; i++) {
        times += log->found[i] == block && log->pools[i] == pool;
    }
    return times == 1;
}

static size_t size_of(size_t index)
{
    static const size_t sizes[] = {16, 700, 4096, 30000, 300 << 10};
    return sizes[index % 5];
}

static void a_walk_finds_exactly_what_is_held(void)
{
    system_use before = system_in_use();
    mb_domain *domain = new_domain();
    mb_tag *tags[] = {mb_tag_get(domain, TAG, MB_NONPAGED), mb_tag_get(domain, TAG, MB_PAGED)};
    mb_list *list = new_list(tags[1], 64, 8);
    mb_block *blocks[BLOCKS / 2], *listed = pop(list);
    mb_list_push(list, pop(list)); /* idle: nobody's */
    for (size_t i = 0; i < BLOCKS / 2; i++) {
        blocks[i] = take(tags[i % 2], size_of(i));
    }
    for (size_t i = 0; i < BLOCKS / 2; i += 3) {
        mb_free(tags[i % 2], blocks[i], size_of(i));
    }
    visit_log log = {0};
    CHECK_EQUAL(walk(domain, &log), 0);
    CHECK_EQUAL(log.count, 1 + BLOCKS / 2 - (BLOCKS / 2 + 2) / 3);
    CHECK(contains(&log, listed, MB_PAGED));
    for (size_t i = 0; i < BLOCKS / 2; i++) {
        if (i % 3 != 0) {
            CHECK(contains(&log, blocks[i], i % 2 == 0 ? MB_NONPAGED : MB_PAGED));
            mb_free(tags[i % 2], blocks[i], size_of(i));
        }
    }
    mb_list_push(list, listed);
    mb_list_close(list);
    close_balanced(domain, before);
}

static void a_walk_stops_where_it_is_told(void)
{
    system_use before = system_in_use();
    mb_domain *domain = new_domain();
    mb_tag *tag = mb_tag_get(domain, TAG, MB_PAGED);
    visit_log log = {.stop_after = 2};
    CHECK_EQUAL(walk(domain, &log), 0); /* an empty domain */
    mb_block *blocks[3];
    for (size_t i = 0; i < 3; i++) {
        blocks[i] = take(tag, 100);
    }
    CHECK_EQUAL(walk(domain, &log), STOPPED);
    CHECK_EQUAL(log.count, 2);
    for (size_t i = 0; i < 3; i++) {
        mb_free(tag, blocks[i], 100);
    }
    close_balanced(domain, before);
}

TESTS(TEST(a_domain_ends_with_the_last_thing_that_kept_it), TEST(an_unused_domain_ends_at_once),
      TEST(a_held_region_is_kept_by_its_keep), TEST(a_walk_finds_exactly_what_is_held),
      TEST(a_walk_stops_where_it_is_told))
