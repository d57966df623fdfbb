/* Domains: what owns tags, regions and lists; their tick, their figures, their end. */
#define _GNU_SOURCE
#include "internal.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

mb_domain *mb_domain_new(const mb_options *options)
{
    mb_domain *domain = calloc(1, sizeof *domain);
    if (domain != NULL) {
        domain->options = *options;
        mb_mutex_init(&domain->mutex);
    }
    return domain;
}

static void destroy(mb_domain *domain)
{
    mb_region_unmap_all(domain);
    for (size_t i = 0; i < MB_TAG_BUCKETS; i++) {
        while (domain->tags[i] != NULL) {
            mb_tag *tag = domain->tags[i];
            domain->tags[i] = tag->next;
            free(tag);
        }
    }
    mb_mutex_destroy(&domain->mutex);
    free(domain);
}

static bool over(const mb_domain *domain)
{
    return domain->closed && domain->blocks_out == 0 && domain->keeps == 0 && domain->lists == NULL;
}

/* Asked under the same lock as the change: of two threads that take the last things away only one
 * finds the domain over, and the other never looks at it again. */
void mb_domain_leave(mb_domain *domain)
{
    bool last = over(domain);
    mb_unlock(&domain->mutex);
    if (last) {
        destroy(domain);
    }
}

void mb_domain_close(mb_domain *domain)
{
    mb_lock(&domain->mutex);
    domain->closed = true;
    mb_domain_leave(domain);
}

void mb_domain_keep(mb_domain *domain)
{
    mb_lock(&domain->mutex);
    domain->keeps++;
    mb_unlock(&domain->mutex);
}

void mb_domain_unkeep(mb_domain *domain)
{
    mb_lock(&domain->mutex);
    domain->keeps--;
    mb_domain_leave(domain);
}

/* With its lists' locks too: while they are held no block is taken from a holder. */
void mb_domain_lock(mb_domain *domain)
{
    mb_lock(&domain->mutex);
    for (mb_list *list = domain->lists; list != NULL; list = list->next) {
        mb_lock(&list->mutex);
    }
}

void mb_domain_unlock(mb_domain *domain)
{
    for (mb_list *list = domain->lists; list != NULL; list = list->next) {
        mb_unlock(&list->mutex);
    }
    mb_unlock(&domain->mutex);
}

/* ---- settings -------------------------------------------------------------------------------- */

void mb_domain_set_limit(mb_domain *domain, uint64_t limit)
{
    mb_lock(&domain->mutex);
    domain->options.limit = limit;
    mb_unlock(&domain->mutex);
}

void mb_domain_set_faults(mb_domain *domain, int64_t after)
{
    mb_lock(&domain->mutex);
    domain->fail_after = after;
    mb_unlock(&domain->mutex);
}

uint64_t mb_domain_allocation_points(mb_domain *domain)
{
    mb_lock(&domain->mutex);
    uint64_t points = domain->allocation_points;
    mb_unlock(&domain->mutex);
    return points;
}

/* ---- tags and lists -------------------------------------------------------------------------- */

mb_tag *mb_tag_get(mb_domain *domain, uint32_t value, mb_pool pool)
{
    mb_tag **bucket = &domain->tags[(value * 2654435761u) >> 26];
    mb_lock(&domain->mutex);
    mb_tag *tag = *bucket;
    while (tag != NULL && (tag->value != value || tag->pool != pool)) {
        tag = tag->next;
    }
    if (tag == NULL && (tag = calloc(1, sizeof *tag)) != NULL) {
        tag->source = (mb_source){.tag = tag};
        tag->domain = domain;
        tag->value = value;
        tag->pool = pool;
        tag->next = *bucket;
        *bucket = tag;
    }
    mb_unlock(&domain->mutex);
    return tag;
}

mb_tag *mb_domain_tag_at(mb_domain *domain, size_t bucket)
{
    mb_lock(&domain->mutex); /* a tag is entered in front and never leaves: the rest needs no lock */
    mb_tag *tag = bucket < MB_TAG_BUCKETS ? domain->tags[bucket] : NULL;
    mb_unlock(&domain->mutex);
    return tag;
}

size_t mb_domain_tag_buckets(void)
{
    return MB_TAG_BUCKETS;
}

void mb_domain_add_list(mb_domain *domain, mb_list *list)
{
    mb_lock(&domain->mutex);
    list->next = domain->lists;
    if (list->next != NULL) {
        list->next->previous = list;
    }
    domain->lists = list;
    domain->figures.lists++;
    mb_unlock(&domain->mutex);
}

void mb_domain_remove_list(mb_domain *domain, mb_list *list)
{
    mb_lock(&domain->mutex);
    if (list->previous != NULL) {
        list->previous->next = list->next;
    } else {
        domain->lists = list->next;
    }
    if (list->next != NULL) {
        list->next->previous = list->previous;
    }
    domain->figures.lists--;
    mb_domain_leave(domain);
}

/* ---- the tick -------------------------------------------------------------------------------- */

static void give_chain_locked(mb_domain *domain, mb_block *block, size_t size)
{
    while (block != NULL) {
        mb_block *next = mb_block_next(block);
        mb_pool_give_locked(domain, block, size);
        block = next;
    }
}

uint64_t mb_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

/* Lists that were rebalanced after `since` are left as they are. The caller holds the domain's lock. */
static void rebalance_lists(mb_domain *domain, uint64_t since)
{
    for (mb_list *list = domain->lists; list != NULL; list = list->next) {
        mb_lock(&list->mutex);
        bool due = !list->closed && list->rebalanced <= since;
        mb_block *surplus = due ? mb_list_retune(list) : NULL;
        mb_unlock(&list->mutex);
        give_chain_locked(domain, surplus, list->size);
    }
}

/* The caller holds the domain's lock. */
void mb_domain_reclaim(mb_domain *domain)
{
    for (mb_list *list = domain->lists; list != NULL; list = list->next) {
        mb_lock(&list->mutex);
        mb_block *idle = mb_list_take_idle(list, 0);
        list->low_water = 0;
        mb_unlock(&list->mutex);
        give_chain_locked(domain, idle, list->size);
    }
    mb_region_trim(domain, 0);
}

void mb_domain_rebalance(mb_domain *domain)
{
    mb_lock(&domain->mutex);
    rebalance_lists(domain, UINT64_MAX);
    mb_region_trim(domain, MB_IDLE_TICKS);
    mb_unlock(&domain->mutex);
}

/* At most once a second, and only from a path that is slow already. */
void mb_domain_maybe_tick(mb_domain *domain)
{
    if (!domain->options.auto_rebalance) {
        return;
    }
    uint64_t now = mb_now();
    mb_lock(&domain->mutex);
    if (now - domain->last_tick >= MB_TICK_NS) {
        domain->last_tick = now;
        rebalance_lists(domain, now - MB_TICK_NS);
        mb_region_trim(domain, MB_IDLE_TICKS);
    }
    mb_unlock(&domain->mutex);
}

size_t mb_domain_trim(mb_domain *domain)
{
    mb_lock(&domain->mutex);
    uint64_t before = domain->figures.mapped_bytes;
    mb_domain_reclaim(domain);
    size_t released = (size_t)(before - domain->figures.mapped_bytes);
    mb_unlock(&domain->mutex);
    return released;
}

/* ---- figures --------------------------------------------------------------------------------- */

void mb_domain_figures(mb_domain *domain, mb_figures *out)
{
    mb_lock(&domain->mutex);
    *out = domain->figures;
    out->limit = domain->options.limit;
    out->idle_bytes = 0;
    for (mb_list *list = domain->lists; list != NULL; list = list->next) {
        mb_lock(&list->mutex);
        out->idle_bytes += (uint64_t)list->idle * list->size;
        mb_unlock(&list->mutex);
    }
    mb_unlock(&domain->mutex);
}

void mb_domain_stale(mb_domain *domain, int change)
{
    mb_lock(&domain->mutex);
    domain->figures.stale_blocks = (uint64_t)((int64_t)domain->figures.stale_blocks + change);
    if (change > 0) {
        domain->figures.stale_events += (uint64_t)change;
    }
    mb_unlock(&domain->mutex);
}

void mb_domain_dropped(mb_domain *domain)
{
    mb_lock(&domain->mutex);
    domain->figures.dropped_blocks++;
    mb_unlock(&domain->mutex);
}

int mb_domain_walk(mb_domain *domain, mb_visit visit, void *context)
{
    for (size_t i = 0; i < domain->bucket_count; i++) {
        for (mb_region *region = domain->buckets[i]; region != NULL; region = region->chain) {
            uint32_t end = region->class_index < 0 ? region->used : region->carved;
            for (uint32_t at = 0; at < end; at++) {
                mb_block *block = &region->records[at];
                int stop = visit(block, region->pool, context);
                if (stop != 0) {
                    return stop;
                }
            }
        }
    }
    return 0;
}
