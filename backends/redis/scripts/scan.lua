#!lua flags=no-writes
-- One page of the live state keys that begin with a text. ARGV: cursor, the text, how many keys to look at.
-- {next cursor, key, value, key, value ...}. Compared as bytes and not by MATCH: nothing in a prefix is a wildcard.
local page = redis.call('SCAN', ARGV[1], 'COUNT', ARGV[3])
local found = {page[1]}
for _, key in ipairs(page[2]) do
  if string.sub(key, 1, #ARGV[2]) == ARGV[2] then
    found[#found + 1] = key
    found[#found + 1] = redis.call('HGET', key, 'v')
  end
end
return found
