#!lua
-- Set if missing. KEYS: state. ARGV: value, ttl in ms ('' = no expiry). '1' = newly set.
if redis.call('EXISTS', KEYS[1]) == 1 then
  return '0'
end
redis.call('HSET', KEYS[1], 'v', ARGV[1], 'n', '1')
if ARGV[2] ~= '' then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return '1'
