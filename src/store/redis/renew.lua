-- Extends leases. KEYS: [1] the domain. ARGV: [1] shift ms, [2] lease ms, then rids.
-- Answers the indexes (from 0) of the rids that have no hold; {-1} if the domain is cold.
local due = redis.call('HMGET', key, 'm', 'd')
if not warm(due[1]) then
  return { -1 }
end
local expires = math.floor(now_us(ARGV[1]) / 1000) + ARGV[2]
local gone = {}
for i = 3, #ARGV do
  local packed = redis.call('HGET', key, 'r|' .. ARGV[i])
  if packed then
    local hold = cmsgpack.unpack(packed)
    hold[1] = expires
    redis.call('HSET', key, 'r|' .. ARGV[i], cmsgpack.pack(hold))
  else
    gone[#gone + 1] = i - 3
  end
end
if #gone < #ARGV - 2 and (not due[2] or expires < tonumber(due[2])) then
  redis.call('HSET', key, 'd', expires)
end
return gone
