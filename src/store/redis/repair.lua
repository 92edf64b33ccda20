-- Sets `used` of a bucket that has no hold. KEYS: [1] the domain. ARGV: [1] shift ms, [2] B|E, [3] start, [4] end (ms),
-- [5] used. Answers 1 if it was set; 0 if a hold stands or the domain is cold.
local row = redis.call('HMGET', key, 'm', 'd')
if not warm(row[1]) then
  return 0
end
local now = math.floor(now_us(ARGV[1]) / 1000)
if row[2] and tonumber(row[2]) <= now then
  reap(now)
end
if (tonumber(redis.call('HGET', key, 'h|' .. ARGV[2])) or 0) > 0 then
  return 0
end
redis.call('HSET', key, 'u|' .. ARGV[2], ARGV[5], 'p|' .. ARGV[2], ARGV[3] .. ':' .. ARGV[4])
keep(ARGV[4])
return 1
