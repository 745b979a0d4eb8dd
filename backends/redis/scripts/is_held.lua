#!lua flags=no-writes
-- KEYS: lock. ARGV: owner. '1' if the lock is this owner's.
if redis.call('HGET', KEYS[1], 'owner') == ARGV[1] then
  return '1'
end
return '0'
