#!lua
-- KEYS: lock. ARGV: owner. '0' if the lock is not this owner's.
if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[1] then
  return '0'
end
redis.call('DEL', KEYS[1])
return '1'
