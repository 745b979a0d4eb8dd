#!lua flags=no-writes
-- The keys with a time up to now, ascending by time. KEYS: index. ARGV: now in ms.
return redis.call('ZRANGE', KEYS[1], '-inf', ARGV[1], 'BYSCORE')
