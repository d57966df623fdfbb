/* Lookaside lists: LIFO stacks of idle blocks whose depth follows demand.
 *
 * The rule of the depth is the project's own: at a rebalance, with m misses since the last one and
 * w the fewest idle blocks seen since, the depth grows by min(m, depth) up to its maximum if m > 0,
 * and otherwise shrinks by ceil(w / 2), never below where it started. */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

static uint32_t first_depth(const mb_list *list)
{
    return list->maximum_depth < MB_FIRST_DEPTH ? list->maximum_depth : MB_FIRST_DEPTH;
}

mb_result mb_list_new(mb_tag *tag, size_t size, size_t alignment, uint32_t maximum_depth, bool zero,
                      bool zero_on_free, mb_list **out)
{
    mb_list *list = calloc(1, sizeof *list);
    mb_block **stack = malloc(MB_FIRST_DEPTH * sizeof *stack);
    if (list == NULL || stack == NULL) {
        free(list);
        free(stack);
        return MB_NO_MEMORY;
    }
    list->source = (mb_source){.tag = tag, .list = list};
    list->stack = stack;
    list->capacity = MB_FIRST_DEPTH;
    list->size = size;
    list->alignment = size >= MB_PAGE && alignment < MB_PAGE ? MB_PAGE : alignment;
    list->maximum_depth = maximum_depth;
    list->depth = first_depth(list);
    list->rebalanced = mb_now();
    list->zero = zero;
    list->zero_on_free = zero_on_free || tag->domain->options.zero_on_free;
    mb_mutex_init(&list->mutex);
    mb_domain_add_list(tag->domain, list);
    *out = list;
    return MB_OK;
}

static void destroy(mb_list *list)
{
    mb_domain *domain = list->source.tag->domain;
    mb_domain_remove_list(domain, list); /* the domain may go with it */
    mb_mutex_destroy(&list->mutex);
    free(list->stack);
    free(list);
}

/* ---- hit, miss ------------------------------------------------------------------------------- */

static MB_RARE mb_result pop_miss(mb_list *list, mb_block **out)
{
    mb_domain *domain = list->source.tag->domain;
    mb_domain_maybe_tick(domain);
    mb_result result = mb_pool_take(domain, list->source.tag->pool, list->size, list->alignment, list->zero, out);
    if (result == MB_OK) {
        mb_tag_took(list->source.tag, list->size, false);
    } else {
        mb_lock(&list->mutex);
        list->failures++; /* counted as an allocation, as NT does, but nothing will come back */
        mb_unlock(&list->mutex);
    }
    return result;
}

mb_result mb_list_pop(mb_list *list, mb_block **out)
{
    mb_lock(&list->mutex);
    list->total_allocates++;
    if (list->idle == 0) {
        list->allocate_misses++;
        list->low_water = 0;
        mb_unlock(&list->mutex);
        return pop_miss(list, out);
    }
    mb_block *block = list->stack[--list->idle];
    if (list->idle < list->low_water) {
        list->low_water = list->idle;
    }
    mb_unlock(&list->mutex);
    mb_tag_took(list->source.tag, list->size, true);
    if (list->zero) {
        memset(block->data, 0, list->size);
    }
    *out = block;
    return MB_OK;
}

void mb_list_push(mb_list *list, mb_block *block)
{
    mb_settle(&list->source, list->size);
    mb_list_put(list, block);
}

/* The list is full, or closed. The caller holds its lock, which is dropped here; what follows asks
 * the list nothing, since another thread may end it, unless the block was the last thing that kept
 * a closed one. The block itself keeps the domain. */
static MB_RARE void put_miss(mb_list *list, mb_block *block)
{
    mb_domain *domain = list->source.tag->domain;
    size_t size = list->size;
    list->free_misses++;
    bool last = list->closed && mb_list_outstanding(list) == 0;
    mb_unlock(&list->mutex);
    if (last) {
        destroy(list);
    } else {
        mb_domain_maybe_tick(domain);
    }
    mb_pool_give(domain, block, size);
}

void mb_list_put(mb_list *list, mb_block *block)
{
    if (list->zero_on_free) {
        memset(block->data, 0, list->size);
    }
    mb_lock(&list->mutex);
    mb_block_hold(block, NULL);
    list->total_frees++;
    if (list->idle < list->depth && !list->closed) {
        list->stack[list->idle++] = block;
        mb_unlock(&list->mutex);
        return;
    }
    put_miss(list, block);
}

/* ---- depth ----------------------------------------------------------------------------------- */

static bool grow_stack(mb_list *list, uint32_t depth)
{
    if (depth <= list->capacity) {
        return true;
    }
    mb_block **stack = realloc(list->stack, depth * sizeof *stack);
    if (stack == NULL) {
        return false; /* the depth stays: a shallower list is slower, not wrong */
    }
    list->stack = stack;
    list->capacity = depth;
    return true;
}

/* Pops the idle blocks above `keep`, chained by owner. The caller holds the list's lock. */
mb_block *mb_list_take_idle(mb_list *list, uint32_t keep)
{
    mb_block *surplus = NULL;
    while (list->idle > keep) {
        mb_block *block = list->stack[--list->idle];
        mb_block_link(block, surplus);
        surplus = block;
    }
    return surplus;
}

mb_block *mb_list_retune(mb_list *list)
{
    uint64_t misses = list->allocate_misses - list->misses_at_rebalance;
    uint32_t depth = list->depth;
    if (misses > 0) {
        uint32_t step = misses < depth ? (uint32_t)misses : depth;
        uint32_t room = list->maximum_depth - depth;
        depth += step < room ? step : room;
    } else if (list->low_water > 0) {
        uint32_t step = list->low_water - list->low_water / 2;
        uint32_t floor = first_depth(list);
        depth = depth > floor + step ? depth - step : floor;
    }
    if (grow_stack(list, depth)) {
        list->depth = depth;
    }
    list->misses_at_rebalance = list->allocate_misses;
    list->rebalanced = mb_now();
    mb_block *surplus = mb_list_take_idle(list, list->depth);
    list->low_water = list->idle;
    return surplus;
}

static void give_chain(mb_domain *domain, mb_block *block, size_t size)
{
    while (block != NULL) {
        mb_block *next = mb_block_next(block);
        mb_pool_give(domain, block, size);
        block = next;
    }
}

void mb_list_rebalance(mb_list *list)
{
    mb_lock(&list->mutex);
    mb_block *surplus = mb_list_retune(list);
    mb_unlock(&list->mutex);
    give_chain(list->source.tag->domain, surplus, list->size);
}

void mb_list_flush(mb_list *list)
{
    mb_lock(&list->mutex);
    mb_block *idle = mb_list_take_idle(list, 0);
    list->low_water = 0;
    mb_unlock(&list->mutex);
    give_chain(list->source.tag->domain, idle, list->size);
}

/* Frees what is idle; the list itself goes with the last of its blocks still out: once unlocked, in
 * any thread. */
void mb_list_close(mb_list *list)
{
    mb_domain *domain = list->source.tag->domain;
    size_t size = list->size;
    mb_lock(&list->mutex);
    list->closed = true;
    mb_block *idle = mb_list_take_idle(list, 0);
    bool last = mb_list_outstanding(list) == 0;
    mb_unlock(&list->mutex);
    give_chain(domain, idle, size);
    if (last) {
        destroy(list);
    }
}
