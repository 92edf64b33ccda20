-- Gives back expired holds. KEYS: [1] the domain. ARGV: [1] shift ms.
-- Answers {how many, when to look again (ms; 0: no hold is left or the domain is cold)}.
local row = redis.call('HMGET', key, 'm', 'd')
if not warm(row[1]) or not row[2] then
  return { 0, 0 }
end
local now = math.floor(now_us(ARGV[1]) / 1000)
local count = 0
if tonumber(row[2]) <= now then
  count = reap(now)
end
return { count, tonumber(redis.call('HGET', key, 'd') or 0) }
