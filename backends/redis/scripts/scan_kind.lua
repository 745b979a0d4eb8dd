#!lua flags=no-writes
-- One page of the live state keys of a kind, the third component: only the fourth may contain a colon.
-- ARGV: cursor, kind, how many keys to look at. {next cursor, key, value, key, value ...}.
local page = redis.call('SCAN', ARGV[1], 'COUNT', ARGV[3])
local found = {page[1]}
for _, key in ipairs(page[2]) do
  if string.match(key, '^hw:state:[^:]*:[^:]*:([^:]*):') == ARGV[2] then
    found[#found + 1] = key
    found[#found + 1] = redis.call('HGET', key, 'v')
  end
end
return found
