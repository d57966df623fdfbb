/* Taking blocks from a domain and giving them back; limits, zeroing and the tags' accounting. */
#include "internal.h"

#include <string.h>

/* ---- a tag's accounting --------------------------------------------------------------------- */

static void raise_peak(uint64_t *peak, uint64_t value)
{
#if MB_LOCKED
    uint64_t seen = __atomic_load_n(peak, __ATOMIC_RELAXED);
    while (seen < value &&
           !__atomic_compare_exchange_n(peak, &seen, value, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
    }
#else
    if (value > *peak) {
        *peak = value;
    }
#endif
}

void mb_tag_took(mb_tag *tag, size_t size, bool hit)
{
    mb_add(&tag->allocations, 1);
    if (hit) {
        mb_add(&tag->hits, 1);
    }
    raise_peak(&tag->peak_bytes, mb_add(&tag->bytes, size));
}

void mb_tag_gave(mb_tag *tag, size_t size)
{
    mb_add(&tag->frees, 1);
    mb_sub(&tag->bytes, size);
}

/* ---- blocks ---------------------------------------------------------------------------------- */

static bool over_limit(const mb_domain *domain, size_t size)
{
    uint64_t limit = domain->options.limit;
    uint64_t charged = domain->figures.charged_bytes;
    return limit != 0 && (size > limit || charged > limit - size);
}

static void charge(mb_domain *domain, size_t size)
{
    mb_figures *figures = &domain->figures;
    figures->charged_bytes += size;
    if (figures->charged_bytes > figures->peak_charged_bytes) {
        figures->peak_charged_bytes = figures->charged_bytes;
    }
    domain->blocks_out++;
}

static bool injected(mb_domain *domain)
{
    domain->allocation_points++;
    if (domain->fail_after == 0) {
        return false;
    }
    if (domain->fail_after > 1) {
        domain->fail_after--;
        return false;
    }
    return true;
}

static mb_result take_locked(mb_domain *domain, mb_pool pool, size_t size, size_t alignment, mb_block **out,
                             bool *fresh)
{
    if (over_limit(domain, size)) {
        return MB_OVER_LIMIT;
    }
    mb_result result = mb_region_take(domain, pool, size, alignment, out, fresh);
    if (result == MB_OK) {
        charge(domain, size);
    }
    return result;
}

mb_result mb_pool_take(mb_domain *domain, mb_pool pool, size_t size, size_t alignment, bool zero, mb_block **out)
{
    bool fresh = false;
    mb_lock(&domain->mutex);
    mb_result result = injected(domain)          ? MB_INJECTED
                       : size > MB_LARGEST_SIZE ? MB_TOO_LARGE
                                                : take_locked(domain, pool, size, alignment, out, &fresh);
    if (result == MB_OVER_LIMIT || result == MB_NO_MEMORY || result == MB_NOT_LOCKED) {
        mb_domain_reclaim(domain); /* idle blocks of the lists, before the caller is refused */
        result = take_locked(domain, pool, size, alignment, out, &fresh);
    }
    if (result != MB_OK) {
        domain->figures.failures++;
    }
    mb_unlock(&domain->mutex);
    if (result == MB_OK && zero && !fresh) {
        memset((*out)->data, 0, size);
    }
    return result;
}

void mb_pool_give_locked(mb_domain *domain, mb_block *block, size_t size)
{
    mb_region_give(domain, block);
    domain->figures.charged_bytes -= size;
    domain->blocks_out--;
}

void mb_pool_give(mb_domain *domain, mb_block *block, size_t size)
{
    mb_lock(&domain->mutex);
    mb_pool_give_locked(domain, block, size);
    mb_domain_leave(domain);
}

mb_result mb_allocate(mb_tag *tag, size_t size, size_t alignment, unsigned flags, mb_block **out)
{
    size_t wanted = size >= MB_PAGE && alignment < MB_PAGE ? MB_PAGE : alignment;
    mb_result result = mb_pool_take(tag->domain, tag->pool, size, wanted, (flags & MB_ZERO) != 0, out);
    if (result == MB_OK) {
        mb_tag_took(tag, size, false);
    }
    return result;
}

void mb_settle(mb_source *source, size_t size)
{
    mb_tag_gave(source->tag, size);
}

void mb_bring_home(mb_source *source, mb_block *block, size_t size)
{
    mb_domain *domain = source->tag->domain;
    if (source->list != NULL) {
        mb_list_put(source->list, block);
        return;
    }
    if (domain->options.zero_on_free) {
        memset(block->data, 0, size);
    }
    mb_pool_give(domain, block, size);
}

void mb_free(mb_tag *tag, mb_block *block, size_t size)
{
    mb_settle(&tag->source, size);
    mb_bring_home(&tag->source, block, size);
}
