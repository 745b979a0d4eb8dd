#!lua
-- KEYS: state. ARGV: delta, ttl in ms ('' keeps it). The sum as text; nil = no integer or no int64.
-- All arithmetic is HINCRBY's: a Lua number is a double and holds integers up to 2^53 only.
if redis.call('HGET', KEYS[1], 'v') == '-0' then
  redis.call('HSET', KEYS[1], 'v', '0') -- HINCRBY refuses '-0', the interface does not
end
local sum = redis.pcall('HINCRBY', KEYS[1], 'v', ARGV[1])
if type(sum) == 'table' and sum.err then
  if string.find(sum.err, 'not an integer', 1, true) or string.find(sum.err, 'would overflow', 1, true) then
    return false
  end
  error(sum.err)
end
redis.call('HINCRBY', KEYS[1], 'n', 1)
if ARGV[2] ~= '' then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return redis.call('HGET', KEYS[1], 'v')
