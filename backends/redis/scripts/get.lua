#!lua flags=no-writes
-- KEYS: state. The value, nil if missing.
return redis.call('HGET', KEYS[1], 'v')
