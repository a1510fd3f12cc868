"""Python's garbage collector, kept from holding everybody up.

A full collection goes through everything that is loaded, some 100 ms in which neither requests nor folds go on. What
is there once a process has started stays, so it is taken out of the collector's sight; and full collections are rare,
since nearly all garbage here is young or free of cycles.
"""

import gc


def calm() -> None:
    """Call once, when everything is loaded."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 1_000)
