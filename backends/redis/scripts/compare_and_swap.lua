#!lua
-- KEYS: state. ARGV: expected version (0 = missing), value, ttl in ms ('' clears it).
-- {'1', new version} or {'0', the version that refused it, its value}. Versions are compared as text.
local version = redis.call('HGET', KEYS[1], 'n') or '0'
if version ~= ARGV[1] then
  return {'0', version, redis.call('HGET', KEYS[1], 'v')}
end
redis.call('HSET', KEYS[1], 'v', ARGV[2])
redis.call('HINCRBY', KEYS[1], 'n', 1)
if ARGV[3] ~= '' then
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
else
  redis.call('PERSIST', KEYS[1])
end
return {'1', redis.call('HGET', KEYS[1], 'n')}
