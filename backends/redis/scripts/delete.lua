#!lua
-- KEYS: state. '1' if a live key was removed; the version goes with it.
return tostring(redis.call('DEL', KEYS[1]))
