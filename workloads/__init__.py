"""One workload a file: a generator of operations and the checks that judge them, by name."""
