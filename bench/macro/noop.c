/* What a transfer costs in a C loop around a ring of io_uring that does nothing: the floor under
 * every way of ours. Prints nanoseconds of processor time an operation, the best of the rounds. */
#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define CHUNK 8 /* entries handed over together, as our engine does */

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static void send_nops(struct io_uring *ring, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        io_uring_prep_nop(io_uring_get_sqe(ring));
        if ((i + 1) % CHUNK == 0) {
            io_uring_submit(ring);
        }
    }
    io_uring_submit(ring);
}

static unsigned take_back(struct io_uring *ring)
{
    struct io_uring_cqe *entry;
    unsigned head, count = 0;
    io_uring_for_each_cqe(ring, head, entry) {
        count++;
    }
    io_uring_cq_advance(ring, count);
    return count;
}

static double one_round(struct io_uring *ring, unsigned depth, long operations)
{
    double start = now();
    send_nops(ring, depth);
    for (long done = 0; done < operations;) {
        struct io_uring_cqe *entry;
        io_uring_wait_cqe(ring, &entry);
        unsigned count = take_back(ring);
        done += count;
        send_nops(ring, count);
    }
    double elapsed = now() - start;
    for (unsigned left = depth; left > 0;) {
        struct io_uring_cqe *entry;
        io_uring_wait_cqe(ring, &entry);
        left -= take_back(ring);
    }
    return elapsed / (double)operations;
}

int main(int count, char **arguments)
{
    if (count != 4) {
        fprintf(stderr, "usage: noop DEPTH OPERATIONS ROUNDS\n");
        return 2;
    }
    unsigned depth = (unsigned)atoi(arguments[1]);
    struct io_uring ring;
    if (io_uring_queue_init(2 * depth, &ring, 0) < 0) {
        return 1;
    }
    double best = 1e18;
    for (int i = 0; i < atoi(arguments[3]); i++) {
        double taken = one_round(&ring, depth, atol(arguments[2]));
        best = taken < best ? taken : best;
    }
    printf("%.1f\n", best);
    io_uring_queue_exit(&ring);
    return 0;
}
