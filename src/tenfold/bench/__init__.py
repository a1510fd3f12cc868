"""The benchmarks: real stores, real processes, ratios against a stated baseline."""
