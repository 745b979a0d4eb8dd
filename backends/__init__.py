"""One system each: its store and lock, its error table, how it is started, its mutants."""
