#!lua flags=no-writes
-- KEYS: state. Value and version, both nil if missing.
return redis.call('HMGET', KEYS[1], 'v', 'n')
