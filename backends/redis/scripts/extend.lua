#!lua
-- KEYS: lock. ARGV: owner, duration in ms from now. '0' if the lock is not this owner's.
if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[1] then
  return '0'
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return '1'
