-- Adds what the ledger did not know. KEYS: [1] the domain, then the tombstone of each announcement.
-- ARGV: [1] shift ms, [2] the gateway that is hereby done announcing, or empty, [3] life of a tombstone (ms), then for each
-- announcement: kind (h held, e ended), rid, lease ms, number of items, then for each item: B, E, E of its fields, amount,
-- start, end (ms; empty for open requests). An id with a hold or a tombstone is skipped. Answers 1, or 0 if cold.
local row = redis.call('HMGET', key, 'm', 'd', 'a')
if not warm(row[1]) then
  return 0
end
local now = math.floor(now_us(ARGV[1]) / 1000)
local due = tonumber(row[2])
local i, n = 4, 1
while i < #ARGV do
  local kind, rid, items = ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 3])
  local expires = now + ARGV[i + 2]
  n = n + 1
  if redis.call('HEXISTS', key, 'r|' .. rid) == 0 and redis.call('GET', KEYS[n]) ~= row[1] then
    local hold = { expires }
    for j = i + 4, i + 3 + 6 * items, 6 do
      local suffix = ARGV[j] .. '|' .. ARGV[j + 2]
      if ARGV[j + 5] ~= '' then
        redis.call('HSETNX', key, 'p|' .. suffix, ARGV[j + 4] .. ':' .. ARGV[j + 5])
        keep(ARGV[j + 5])
        redis.call('HINCRBY', key, 'u|' .. suffix, kind == 'e' and ARGV[j + 3] or '0')
      end
      if kind == 'h' then
        redis.call('HINCRBY', key, 'h|' .. suffix, ARGV[j + 3])
        local h = #hold
        hold[h + 1], hold[h + 2], hold[h + 3], hold[h + 4] = ARGV[j], ARGV[j + 1], ARGV[j + 2], tonumber(ARGV[j + 3])
      end
    end
    if kind == 'h' then
      redis.call('HSET', key, 'r|' .. rid, cmsgpack.pack(hold))
      due = math.min(due or expires, expires)
      redis.call('HSET', key, 'd', due)
    else
      redis.call('SET', KEYS[n], row[1], 'PX', ARGV[3])
    end
  end
  i = i + 4 + 6 * items
end
if row[3] and ARGV[2] ~= '' then
  local waiting = {}
  for gateway in string.gmatch(row[3], '%S+') do
    if gateway ~= ARGV[2] then
      waiting[#waiting + 1] = gateway
    end
  end
  if #waiting == 0 then
    redis.call('HDEL', key, 'w', 'a')
  else
    redis.call('HSET', key, 'a', table.concat(waiting, ' '))
  end
end
return 1
