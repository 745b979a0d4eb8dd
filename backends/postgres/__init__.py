"""PostgreSQL, single, with an operator that promotes, or under Patroni: one function call an operation, phases of a call kept apart."""
