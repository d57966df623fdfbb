/* Regions: mappings carved into blocks of one size, or holding a single large block. */
#define _GNU_SOURCE
#include "internal.h"

#include <string.h>
#include <sys/mman.h>

#define FIRST_BUCKETS 64u

static size_t round_up(size_t value, size_t alignment)
{
    return (value + alignment - 1) & ~(alignment - 1);
}

/* ---- address -> region ---------------------------------------------------------------------- */

static size_t bucket_of(const mb_domain *domain, const void *address)
{
    return ((uintptr_t)address / MB_REGION) & (domain->bucket_count - 1);
}

mb_region *mb_region_at(mb_domain *domain, const void *address)
{
    if (domain->bucket_count == 0) {
        return NULL;
    }
    uintptr_t key = (uintptr_t)address / MB_REGION;
    mb_region *region = domain->buckets[bucket_of(domain, address)];
    while (region != NULL && (uintptr_t)region->base / MB_REGION != key) {
        region = region->chain;
    }
    return region;
}

static void *map_records(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

static bool grow_buckets(mb_domain *domain)
{
    size_t old_count = domain->bucket_count;
    size_t count = old_count == 0 ? FIRST_BUCKETS : old_count * 2;
    mb_region **old = domain->buckets;
    mb_region **buckets = map_records(count * sizeof *buckets);
    if (buckets == NULL) {
        return old_count != 0; /* an overfull table is slower, not wrong */
    }
    domain->buckets = buckets;
    domain->bucket_count = count;
    for (size_t i = 0; i < old_count; i++) {
        while (old[i] != NULL) {
            mb_region *region = old[i];
            old[i] = region->chain;
            size_t bucket = bucket_of(domain, region->base);
            region->chain = buckets[bucket];
            buckets[bucket] = region;
        }
    }
    if (old != NULL) {
        munmap(old, old_count * sizeof *old);
    }
    return true;
}

static bool enter(mb_domain *domain, mb_region *region)
{
    if (domain->figures.regions >= domain->bucket_count && !grow_buckets(domain)) {
        return false;
    }
    size_t bucket = bucket_of(domain, region->base);
    region->chain = domain->buckets[bucket];
    domain->buckets[bucket] = region;
    domain->figures.regions++;
    domain->figures.mapped_bytes += region->map_size;
    return true;
}

static void leave(mb_domain *domain, mb_region *region)
{
    mb_region **link = &domain->buckets[bucket_of(domain, region->base)];
    while (*link != region) {
        link = &(*link)->chain;
    }
    *link = region->chain;
    domain->figures.regions--;
    domain->figures.mapped_bytes -= region->map_size;
}

/* ---- mapping -------------------------------------------------------------------------------- */

/* An anonymous mapping whose base is aligned; what the alignment cost is unmapped at once. */
static unsigned char *map_aligned(size_t size, size_t alignment)
{
    size_t whole = size + alignment;
    if (whole < size) {
        return NULL;
    }
    unsigned char *start = mmap(NULL, whole, PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); /* more than there is fails here */
    if (start == MAP_FAILED) {
        return NULL;
    }
    unsigned char *base = (unsigned char *)round_up((uintptr_t)start, alignment);
    size_t head = (size_t)(base - start);
    if (head != 0) {
        munmap(start, head);
    }
    if (whole - head != size) {
        munmap(base + size, whole - head - size);
    }
    return base;
}

static mb_region *map_region(mb_domain *domain, size_t map_size, size_t alignment, uint32_t count)
{
    size_t record_map_size = round_up(sizeof(mb_region) + count * sizeof(mb_block), MB_PAGE);
    mb_region *region = map_records(record_map_size);
    if (region == NULL) {
        return NULL;
    }
    region->record_map_size = record_map_size;
    region->map_size = map_size;
    region->count = count;
    region->base = map_aligned(map_size, alignment);
    if (region->base == NULL || !enter(domain, region)) {
        if (region->base != NULL) {
            munmap(region->base, map_size);
        }
        munmap(region, record_map_size);
        return NULL;
    }
    return region;
}

static size_t unmap_region(mb_domain *domain, mb_region *region)
{
    size_t size = region->map_size;
    leave(domain, region);
    domain->figures.locked_bytes -= region->locked;
    domain->figures.unlocked_bytes -= region->unlocked;
    munmap(region->base, size);
    munmap(region, region->record_map_size);
    return size;
}

/* Locks the next stretch of a non-paged region, so that `needed` bytes from its base are resident.
 * Where that is refused the bytes are counted as unlocked, unless locking was required. */
static bool lock_up_to(mb_domain *domain, mb_region *region, size_t needed)
{
    size_t done = region->locked + region->unlocked;
    if (region->pool != MB_NONPAGED || needed <= done) {
        return true;
    }
    size_t end = round_up(needed, MB_LOCK_STEP);
    if (end > region->map_size) {
        end = region->map_size;
    }
    size_t length = end - done;
    if (mlock(region->base + done, length) == 0) {
        region->locked += length;
        domain->figures.locked_bytes += length;
    } else if (domain->options.lock_required) {
        return false;
    } else {
        region->unlocked += length;
        domain->figures.unlocked_bytes += length;
    }
    return true;
}

/* ---- lists of regions ----------------------------------------------------------------------- */

static void push_front(mb_region **head, mb_region *region)
{
    region->previous = NULL;
    region->next = *head;
    if (*head != NULL) {
        (*head)->previous = region;
    }
    *head = region;
}

static void unlink_from(mb_region **head, mb_region *region)
{
    if (region->previous != NULL) {
        region->previous->next = region->next;
    } else {
        *head = region->next;
    }
    if (region->next != NULL) {
        region->next->previous = region->previous;
    }
    region->previous = region->next = NULL;
}

static void set_room(mb_domain *domain, mb_region *region, bool room)
{
    mb_class *class = &domain->classes[region->pool][region->class_index];
    if (room == region->has_room) {
        return;
    }
    region->has_room = room;
    if (room) {
        push_front(&class->roomy, region);
    } else {
        unlink_from(&class->roomy, region);
    }
}

/* ---- small blocks --------------------------------------------------------------------------- */

static mb_region *new_class_region(mb_domain *domain, mb_pool pool, int index)
{
    size_t block_size = mb_class_size(index);
    uint32_t count = block_size < MB_PAGE ? (uint32_t)(MB_REGION / MB_PAGE * (MB_PAGE / block_size))
                                          : (uint32_t)(MB_REGION / block_size);
    mb_region *region = map_region(domain, MB_REGION, MB_REGION, count);
    if (region == NULL) {
        return NULL;
    }
    region->block_size = block_size;
    region->class_index = (int16_t)index;
    region->pool = pool;
    mb_class *class = &domain->classes[pool][index];
    if (class->regions++ > 0) { /* a small program keeps small pages, a large one gets huge ones */
        madvise(region->base, MB_REGION, MADV_HUGEPAGE);
    }
    set_room(domain, region, true);
    return region;
}

static unsigned char *block_address(const mb_region *region, uint32_t index)
{
    if (region->block_size >= MB_PAGE) {
        return region->base + (size_t)index * region->block_size;
    }
    uint32_t per_page = (uint32_t)(MB_PAGE / region->block_size);
    return region->base + (size_t)(index / per_page) * MB_PAGE + (size_t)(index % per_page) * region->block_size;
}

/* A block never used before: from the untouched rest of the region. */
static mb_block *carve(mb_domain *domain, mb_region *region)
{
    unsigned char *data = block_address(region, region->carved);
    if (!lock_up_to(domain, region, (size_t)(data - region->base) + region->block_size)) {
        return NULL;
    }
    mb_block *block = &region->records[region->carved++];
    block->data = data;
    return block;
}

static mb_result take_small(mb_domain *domain, mb_pool pool, int index, mb_block **out, bool *fresh)
{
    mb_region *region = domain->classes[pool][index].roomy;
    if (region == NULL) {
        region = new_class_region(domain, pool, index);
        if (region == NULL) {
            return MB_NO_MEMORY;
        }
    }
    mb_block *block = region->free;
    *fresh = block == NULL;
    if (block != NULL) {
        region->free = mb_block_next(block);
        mb_block_hold(block, NULL);
    } else if ((block = carve(domain, region)) == NULL) {
        return MB_NOT_LOCKED;
    }
    region->used++;
    region->idle_ticks = 0;
    if (region->free == NULL && region->carved == region->count) {
        set_room(domain, region, false);
    }
    *out = block;
    return MB_OK;
}

/* ---- large blocks --------------------------------------------------------------------------- */

static mb_region *find_idle_large(mb_domain *domain, mb_pool pool, size_t map_size, size_t alignment)
{
    for (mb_region *region = domain->large_idle; region != NULL; region = region->next) {
        if (region->map_size == map_size && region->pool == pool &&
            ((uintptr_t)region->base & (alignment - 1)) == 0) {
            unlink_from(&domain->large_idle, region);
            domain->large_idle_bytes -= map_size;
            return region;
        }
    }
    return NULL;
}

static mb_region *new_large_region(mb_domain *domain, mb_pool pool, size_t map_size, size_t alignment)
{
    mb_region *region = map_region(domain, map_size, alignment > MB_REGION ? alignment : MB_REGION, 1);
    if (region == NULL) {
        return NULL;
    }
    region->block_size = map_size;
    region->class_index = -1;
    region->pool = pool;
    region->records[0].data = region->base;
    if (map_size >= MB_REGION) {
        madvise(region->base, map_size, MADV_HUGEPAGE);
    }
    return region;
}

static mb_result take_large(mb_domain *domain, mb_pool pool, size_t size, size_t alignment, mb_block **out,
                            bool *fresh)
{
    size_t map_size = round_up(size, MB_PAGE);
    mb_region *region = find_idle_large(domain, pool, map_size, alignment);
    *fresh = region == NULL;
    if (region == NULL) {
        region = new_large_region(domain, pool, map_size, alignment);
        if (region == NULL) {
            return MB_NO_MEMORY;
        }
        if (!lock_up_to(domain, region, map_size)) {
            unmap_region(domain, region);
            return MB_NOT_LOCKED;
        }
    }
    region->used = 1;
    region->idle_ticks = 0;
    *out = &region->records[0];
    return MB_OK;
}

static void give_large(mb_domain *domain, mb_region *region)
{
    push_front(&domain->large_idle, region);
    domain->large_idle_bytes += region->map_size;
    while (domain->large_idle_bytes > MB_LARGE_IDLE_LIMIT) { /* the longest idle one goes first */
        mb_region *last = domain->large_idle;
        while (last->next != NULL) {
            last = last->next;
        }
        while (last != NULL && last->holds != 0) {
            last = last->previous;
        }
        if (last == NULL) {
            return;
        }
        unlink_from(&domain->large_idle, last);
        domain->large_idle_bytes -= last->map_size;
        unmap_region(domain, last);
    }
}

/* ---- the face of this file ------------------------------------------------------------------ */

mb_result mb_region_take(mb_domain *domain, mb_pool pool, size_t size, size_t alignment, mb_block **block,
                         bool *fresh)
{
    int index = mb_class_of(size, alignment);
    if (index >= 0) {
        return take_small(domain, pool, index, block, fresh);
    }
    return take_large(domain, pool, size, alignment, block, fresh);
}

void mb_region_give(mb_domain *domain, mb_block *block)
{
    mb_region *region = mb_region_at(domain, block->data);
    region->used--;
    if (region->class_index < 0) {
        mb_block_hold(block, NULL);
        give_large(domain, region);
        return;
    }
    mb_block_link(block, region->free);
    region->free = block;
    set_room(domain, region, true);
}

/* Unmaps the regions that were empty for at least so many ticks; counts a tick for the others. */
size_t mb_region_trim(mb_domain *domain, int idle_ticks)
{
    size_t released = 0;
    for (int pool = 0; pool < MB_POOLS; pool++) {
        for (int index = 0; index < MB_CLASSES; index++) {
            mb_class *class = &domain->classes[pool][index];
            mb_region *next;
            for (mb_region *region = class->roomy; region != NULL; region = next) {
                next = region->next;
                if (region->used != 0 || region->holds != 0 || region->idle_ticks++ < idle_ticks) {
                    continue;
                }
                set_room(domain, region, false);
                class->regions--;
                released += unmap_region(domain, region);
            }
        }
    }
    mb_region *next;
    for (mb_region *region = domain->large_idle; region != NULL; region = next) {
        next = region->next;
        if (region->holds != 0 || region->idle_ticks++ < idle_ticks) {
            continue;
        }
        unlink_from(&domain->large_idle, region);
        domain->large_idle_bytes -= region->map_size;
        released += unmap_region(domain, region);
    }
    return released;
}

void mb_region_unmap_all(mb_domain *domain)
{
    for (size_t i = 0; i < domain->bucket_count; i++) {
        while (domain->buckets[i] != NULL) {
            unmap_region(domain, domain->buckets[i]);
        }
    }
    if (domain->buckets != NULL) {
        munmap(domain->buckets, domain->bucket_count * sizeof *domain->buckets);
    }
}

bool mb_region_hold(mb_domain *domain, const void *address, void **base, size_t *size)
{
    mb_lock(&domain->mutex);
    mb_region *region = mb_region_at(domain, address);
    if (region != NULL) {
        region->holds++;
        *base = region->base;
        *size = region->map_size;
    }
    mb_unlock(&domain->mutex);
    return region != NULL;
}

void mb_region_unhold(mb_domain *domain, const void *base)
{
    mb_lock(&domain->mutex);
    mb_region *region = mb_region_at(domain, base);
    if (region != NULL) {
        region->holds--;
    }
    mb_unlock(&domain->mutex);
}
