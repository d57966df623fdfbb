/* libFuzzer: bytes become calls of the store; fuzz_model.c knows what must come of them. */
#include "fuzz_model.h"

#define AFFORDABLE ((size_t)320 << 10) /* what may be cleared byte by byte */

/* ---- input ------------------------------------------------------------------------------------ */

static const uint8_t *input, *input_end;

static unsigned read_byte(void)
{
    return input < input_end ? *input++ : 0;
}

static uint64_t read_number(unsigned bytes)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes; i++) {
        value = value << 8 | read_byte();
    }
    return value;
}

/* Mostly small ones and their borders, and now and then anything. */
static size_t read_size(void)
{
    static const size_t borders[] = {1, 16, 128, 1360, 2048, 4096, 8192, 65536, 262144, 2097152};
    unsigned kind = read_byte();
    size_t size = 0;
    if (kind < 100) {
        size = kind * 7u;
    } else if (kind < 180) {
        size = borders[kind % 10] + read_number(1) - 128;
    } else if (kind < 240) {
        size = (size_t)read_number(3) % AFFORDABLE;
    } else {
        size = (size_t)read_number(8);
    }
    return size == 0 ? 1 : size;
}

static size_t read_alignment(void)
{
    unsigned exponent = read_byte();
    return (size_t)1 << (exponent < 200 ? 4 + exponent % 12 : 4 + exponent % 60);
}

/* ---- calls: the pool ----------------------------------------------------------------------------- */

static size_t open_domain(void)
{
    size_t index = read_byte() % DOMAINS;
    domain_model *d = &domains[index];
    if (d->real != NULL) {
        return d->closed ? DOMAINS : index;
    }
    unsigned options = read_byte();
    *d = (domain_model){.zero_on_free = (options & 1) != 0, .lock_required = (options & 2) != 0};
    d->real = mb_domain_new(&(mb_options){.zero_on_free = d->zero_on_free, .lock_required = d->lock_required});
    CHECK(d->real != NULL || strained);
    for (size_t i = 0; d->real != NULL && i < TAGS; i++) {
        d->tags[i].real = mb_tag_get(d->real, TAG + (uint32_t)(i / 2), i % 2 == 0 ? MB_PAGED : MB_NONPAGED);
        if (d->tags[i].real == NULL) {
            mb_domain_close(d->real);
            d->real = NULL;
        }
    }
    return d->real == NULL ? DOMAINS : index;
}

static block_model *free_slot(void)
{
    for (size_t i = 0; i < BLOCKS; i++) {
        if (blocks[i].real == NULL) {
            return &blocks[i];
        }
    }
    give(&blocks[0]);
    return &blocks[0];
}

static void call_allocate(void)
{
    size_t domain = open_domain(), tag = read_byte() % TAGS, alignment = read_alignment(), size = read_size();
    bool zero = (read_byte() & 1) != 0;
    if (domain == DOMAINS) {
        return;
    }
    domain_model *d = &domains[domain];
    if ((zero || d->zero_on_free) && size > AFFORDABLE && size <= MB_LARGEST_SIZE) {
        size %= AFFORDABLE;
        size += size == 0;
    }
    block_model made = {.domain = domain, .tag = tag, .size = size, .source = &d->tags[tag].real->source};
    block_model *slot = free_slot();
    mb_result expected = expect(domain, size);
    mb_result result = mb_allocate(d->tags[tag].real, size, alignment, zero ? MB_ZERO : 0, &made.real);
    settle(domain, size, alignment, expected, result);
    if (result == MB_OK) {
        *slot = made;
        enter(slot, alignment, zero);
    }
}

static void call_give(void)
{
    give(&blocks[read_byte() % BLOCKS]);
}

static void call_limit(void)
{
    size_t domain = open_domain();
    if (domain < DOMAINS) {
        domains[domain].limit = read_number(3);
        mb_domain_set_limit(domains[domain].real, domains[domain].limit);
    }
}

static void call_faults(void)
{
    size_t domain = open_domain();
    if (domain < DOMAINS) {
        domains[domain].fail_after = read_byte() % 8;
        mb_domain_set_faults(domains[domain].real, domains[domain].fail_after);
    }
}

static void call_stale(void)
{
    size_t domain = open_domain();
    if (domain < DOMAINS) {
        domain_model *d = &domains[domain];
        int change = d->stale > 0 && (read_byte() & 1) != 0 ? -1 : 1;
        mb_domain_stale(d->real, change);
        d->stale = (uint64_t)((int64_t)d->stale + change);
        d->stale_events += change > 0;
    }
}

static void call_system(void)
{
    unsigned kind = read_byte(), n = read_byte() % 16;
    strained = n != 0;
    system_fail_maps(kind % 4 == 0 ? n : 0);
    system_fail_heap(kind % 4 == 1 ? n : 0);
    system_fail_locks(kind % 4 == 2 ? n : 0);
}

/* ---- calls: lists --------------------------------------------------------------------------------- */

static void call_list_new(void)
{
    size_t domain = open_domain(), tag = read_byte() % TAGS;
    list_model *list = &lists[read_byte() % LISTS];
    list_model made = {.open = true, .domain = domain, .tag = tag};
    unsigned options = read_byte();
    made.size = read_size() % AFFORDABLE + 1;
    made.alignment = read_alignment();
    made.maximum = 1 + read_byte() % DEPTH;
    made.depth = first_depth(&made);
    if (domain == DOMAINS || list->real != NULL) {
        return;
    }
    made.zero = (options & 1) != 0;
    made.zero_on_free = (options & 2) != 0 || domains[domain].zero_on_free;
    mb_result result = mb_list_new(domains[domain].tags[tag].real, made.size, made.alignment, made.maximum,
                                   made.zero, (options & 2) != 0, &made.real);
    CHECK(result == MB_OK || (result == MB_NO_MEMORY && strained));
    if (result == MB_OK) {
        *list = made;
    }
}

static list_model *open_list(void)
{
    list_model *list = &lists[read_byte() % LISTS];
    return list->real != NULL && list->open ? list : NULL;
}

static mb_result pop_expected(list_model *list)
{
    if (list->idle == 0) {
        list->misses++;
        list->low_water = 0;
        return expect(list->domain, list->size);
    }
    list->idle--;
    list->low_water = list->idle < list->low_water ? list->idle : list->low_water;
    return MB_OK;
}

static void call_pop(void)
{
    list_model *list = open_list();
    if (list == NULL) {
        return;
    }
    block_model *slot = free_slot();
    if (list->real == NULL || !list->open) { /* giving a block back to make room cannot close a list */
        check_fail(__FILE__, __LINE__, "a list went with a block");
    }
    bool hit = list->idle > 0;
    mb_block *top = hit ? list->stack[list->idle - 1] : NULL;
    block_model made = {.domain = list->domain, .tag = list->tag, .size = list->size, .list = list};
    made.source = &list->real->source;
    mb_result expected = pop_expected(list);
    mb_result result = mb_list_pop(list->real, &made.real);
    if (hit) {
        CHECK_EQUAL(result, MB_OK);
        CHECK(made.real == top);
        domains[list->domain].tags[list->tag].hits++;
    } else {
        settle(list->domain, list->size, list->alignment, expected, result);
    }
    if (result == MB_OK) {
        list->out++;
        *slot = made;
        enter(slot, list->alignment, list->zero);
    }
}

static void call_list(void)
{
    list_model *list = open_list();
    if (list == NULL) {
        return;
    }
    switch (read_byte() % 3) {
    case 0:
        mb_list_flush(list->real);
        list->idle = list->low_water = 0;
        break;
    case 1:
        mb_list_rebalance(list->real);
        retune(list);
        break;
    default:
        mb_list_close(list->real);
        list->open = false;
        list->idle = 0;
        forget_what_ended();
        break;
    }
}

/* ---- calls: domains --------------------------------------------------------------------------------- */

static void call_rebalance(void)
{
    size_t domain = open_domain();
    if (domain == DOMAINS) {
        return;
    }
    mb_domain_rebalance(domains[domain].real);
    for (size_t i = 0; i < LISTS; i++) {
        if (in_domain(&lists[i], domain) && lists[i].open) {
            retune(&lists[i]);
        }
    }
}

static void call_trim(void)
{
    size_t domain = open_domain();
    if (domain < DOMAINS) {
        uint64_t before = figures(domains[domain].real).mapped_bytes;
        size_t released = mb_domain_trim(domains[domain].real);
        reclaim(domain);
        CHECK_EQUAL(figures(domains[domain].real).mapped_bytes, before - released);
    }
}

static void call_close(void)
{
    size_t domain = open_domain();
    if (domain < DOMAINS) {
        domains[domain].closed = true;
        mb_domain_close(domains[domain].real);
        forget_what_ended();
    }
}

static void unhold(hold_model *hold)
{
    if (hold->base != NULL) {
        *(volatile unsigned char *)hold->base; /* still mapped, whatever was freed and closed */
        mb_region_unhold(domains[hold->domain].real, hold->base);
        domains[hold->domain].keeps--;
        mb_domain_unkeep(domains[hold->domain].real);
        hold->base = NULL;
        forget_what_ended();
    }
}

static void call_hold(void)
{
    hold_model *hold = &holds[read_byte() % HOLDS];
    const block_model *block = &blocks[read_byte() % BLOCKS];
    unhold(hold);
    if (block->real != NULL) {
        mb_domain *domain = domains[block->domain].real;
        CHECK(mb_region_hold(domain, block->real->data, &hold->base, &hold->size));
        CHECK((unsigned char *)hold->base <= block->real->data);
        CHECK(block->real->data + block->size <= (unsigned char *)hold->base + hold->size);
        mb_domain_keep(domain);
        domains[block->domain].keeps++;
        hold->domain = block->domain;
    }
}

/* ---- one input ---------------------------------------------------------------------------------- */

static void end_all(void)
{
    for (size_t i = 0; i < BLOCKS; i++) {
        give(&blocks[i]);
    }
    for (size_t i = 0; i < LISTS; i++) {
        if (lists[i].real != NULL) {
            mb_list_close(lists[i].real);
            lists[i].open = false;
        }
    }
    forget_what_ended();
    for (size_t i = 0; i < HOLDS; i++) {
        unhold(&holds[i]);
    }
    for (size_t i = 0; i < DOMAINS; i++) {
        if (domains[i].real != NULL && !domains[i].closed) {
            mb_domain_close(domains[i].real);
        }
        domains[i] = (domain_model){0};
    }
}

static void (*const calls[])(void) = {
    call_allocate, call_allocate, call_allocate, call_give,  call_give,   call_give, call_pop,   call_pop,
    call_pop,      call_list_new, call_list,     call_limit, call_faults, call_trim, call_close, call_hold,
    call_stale,    call_system,   call_rebalance,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    system_use before = system_in_use();
    input = data;
    input_end = data + size;
    strained = false;
    system_pretend_locks();
    while (input < input_end) {
        calls[read_byte() % (sizeof calls / sizeof *calls)]();
        check_all();
    }
    system_fail_maps(0);
    system_fail_heap(0);
    system_fail_locks(0);
    end_all();
    CHECK_RETURNED(before);
    return 0;
}
