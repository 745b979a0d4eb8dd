"""Redis and Valkey, single or under Sentinel: one Lua script an operation, phases of a call kept apart."""
