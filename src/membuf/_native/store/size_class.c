/* Block sizes. Below a page a block never crosses one, so a size is chosen that fills a page well;
 * from a page up sizes are whole pages, four steps to a doubling. */
#include "internal.h"

#define PAGES(n) ((uint32_t)((n) * 4096u))

static const uint32_t class_sizes[MB_CLASSES] = {
    16,        32,        48,        64,        80,        96,        112,       128,       160,
    192,       224,       256,       320,       400,       448,       512,       576,       672,
    816,       1024,      1360,      2048,      PAGES(1),  PAGES(2),  PAGES(3),  PAGES(4),  PAGES(5),
    PAGES(6),  PAGES(7),  PAGES(8),  PAGES(10), PAGES(12), PAGES(14), PAGES(16), PAGES(20), PAGES(24),
    PAGES(28), PAGES(32), PAGES(40), PAGES(48), PAGES(56), PAGES(64), 0,
};

#define LAST_CLASS (MB_CLASSES - 2)
#define FIRST_PAGE_CLASS 22

size_t mb_class_size(int index)
{
    return class_sizes[index];
}

/* The smallest class from the first one on that is large enough and a multiple of the alignment. */
static int search(int first, size_t size, size_t alignment)
{
    for (int index = first; index <= LAST_CLASS; index++) {
        size_t candidate = class_sizes[index];
        if (candidate >= size && (candidate & (alignment - 1)) == 0) {
            return index;
        }
    }
    return -1;
}

int mb_class_of(size_t size, size_t alignment)
{
    if (alignment > MB_PAGE || size > class_sizes[LAST_CLASS]) {
        return -1;
    }
    if (size >= MB_PAGE) { /* whole pages are aligned to one, whatever their number */
        return search(FIRST_PAGE_CLASS, size, MB_PAGE);
    }
    int first = size <= 128 ? (int)((size + 15) / 16) - 1 : 8;
    return search(first < 0 ? 0 : first, size, alignment);
}
