"""Benchmarks: what membuf costs beside what people use today.

    python -m bench            measure everything, show the table
    python -m bench --quick    the same in seconds; the figures mean little
    python -m bench --help     the rest
    python -m bench.instructions   instruction counts of the hot paths against the recorded ones

Only ratios count. Our side and the peer take turns inside one process, the best of many rounds is
kept, and the median over several processes is what is shown; so a machine that is sometimes slow
disturbs both sides, and rarely the best round. What every group does, with its parameters, stands
at the head of its file in `micro` (in memory) and `macro` (files, programs).
"""
