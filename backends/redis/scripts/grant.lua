#!lua
-- Take a lock if it is free. KEYS: lock, fencing counter. ARGV: owner, ttl in ms. The token, nil if refused.
-- One counter for all locks: it outlives every lock, so that tokens rise across release and expiry.
if redis.call('EXISTS', KEYS[1]) == 1 then
  return false
end
redis.call('INCR', KEYS[2])
local token = redis.call('GET', KEYS[2])
redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'token', token)
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return token
