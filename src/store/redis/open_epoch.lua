-- Opens an owner's epoch, never an older one. KEYS: [1] the domain. ARGV: [1] `scope|owner`, [2] E, [3] ms when opened.
-- Answers 1 if it is now the epoch by this call.
local row = redis.call('HMGET', key, 'm', 'e|' .. ARGV[1])
if not warm(row[1]) then
  return 0
end
local known = row[2] and tonumber(string.match(row[2], '^%d+')) or 0
if tonumber(ARGV[2]) <= known then
  return 0
end
redis.call('HSET', key, 'e|' .. ARGV[1], ARGV[2] .. ':' .. ARGV[3])
return 1
