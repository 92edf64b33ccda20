-- Loads a cold domain. KEYS: [1] the domain, then the tombstones of requests the ledger has.
-- ARGV: [1] shift ms, [2] the domain, [3] ms to wait for announcements, [4] life of a tombstone (ms), [5] gateways to
-- wait for, blank-separated, [6] number of buckets, then for each bucket: B, E, start, end (ms), used; then for each owner:
-- `scope|owner`, `E:<ms when opened>`. Answers 1 if it was this call that loaded it. Sets once and never adds, so several
-- loaders cannot add up. Tells the gateways on the channel `tg:rebuilt`.
if warm(redis.call('HGET', key, 'm')) then
  return 0
end
redis.call('DEL', key)
local us = now_us(ARGV[1])
local now = math.floor(us / 1000)
local meta = RUN .. ':' .. string.format('%.0f', us)
redis.call('HSET', key, 'm', meta)
local last = now
local buckets = tonumber(ARGV[6])
for i = 7, 6 + 5 * buckets, 5 do
  local suffix = ARGV[i] .. '|' .. ARGV[i + 1]
  redis.call('HSET', key, 'u|' .. suffix, ARGV[i + 4], 'p|' .. suffix, ARGV[i + 2] .. ':' .. ARGV[i + 3])
  last = math.max(last, tonumber(ARGV[i + 3]))
end
for i = 7 + 5 * buckets, #ARGV, 2 do
  redis.call('HSET', key, 'e|' .. ARGV[i], ARGV[i + 1])
end
if ARGV[5] ~= '' then
  redis.call('HSET', key, 'w', now + ARGV[3], 'a', ARGV[5])
end
redis.call('PEXPIREAT', key, last + WEEK_MS)
for i = 2, #KEYS do
  redis.call('SET', KEYS[i], meta, 'PX', ARGV[4])
end
redis.call('PUBLISH', 'tg:rebuilt', ARGV[2])
return 1
