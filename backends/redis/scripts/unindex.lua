#!lua
-- Take a key out of an index. KEYS: index. ARGV: key.
redis.call('ZREM', KEYS[1], ARGV[1])
return '1'
