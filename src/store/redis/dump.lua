-- Everything of a domain. KEYS: [1] the domain. ARGV: [1] shift ms.
-- Answers field, value, … of the hash, where the value of r|<rid> is when its lease ends (ms); {} if the domain is cold.
local row = redis.call('HMGET', key, 'm', 'd')
if not warm(row[1]) then
  return {}
end
local now = math.floor(now_us(ARGV[1]) / 1000)
if row[2] and tonumber(row[2]) <= now then
  reap(now)
end
local all = redis.call('HGETALL', key)
for i = 1, #all, 2 do
  if string.sub(all[i], 1, 2) == 'r|' then
    all[i + 1] = string.format('%.0f', cmsgpack.unpack(all[i + 1])[1])
  end
end
return all
