#!lua
-- KEYS: state. ARGV: value, ttl in ms ('' clears it).
redis.call('HSET', KEYS[1], 'v', ARGV[1])
redis.call('HINCRBY', KEYS[1], 'n', 1)
if ARGV[2] ~= '' then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
else
  redis.call('PERSIST', KEYS[1])
end
return '1'
