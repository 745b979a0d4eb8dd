#!lua
-- Enter a key, or give its entry another time. KEYS: index. ARGV: time in ms (a double, exact up to 2^53), key.
redis.call('ZADD', KEYS[1], ARGV[1], ARGV[2])
return '1'
