-- Ends a hold. KEYS: [1] the domain, [2] the request's tombstone. ARGV: [1] rid, [2] life of a tombstone (ms), then for
-- each charge: B, E, start, end (ms), amount.
-- Answers 0 cold, 1 done, 2 late (no hold, charged all the same), 3 duplicate.
local names = { 'm', 'r|' .. ARGV[1] }
for i = 3, #ARGV, 5 do
  local suffix = ARGV[i] .. '|' .. ARGV[i + 1]
  names[#names + 1] = 'u|' .. suffix
  names[#names + 1] = 'h|' .. suffix
end
local row = redis.call('HMGET', key, unpack(names))
if not warm(row[1]) then
  return 0
end
local hold = row[2] and cmsgpack.unpack(row[2])
if not hold and redis.call('GET', KEYS[2]) == row[1] then
  return 3
end

local value, set = {}, {}
local function put(field, number)
  if not value[field] then
    set[#set + 1] = field
  end
  value[field] = number
end

local at = {}
for n = 3, #names do
  at[names[n]] = n
end
for i = 3, #ARGV, 5 do
  local suffix = ARGV[i] .. '|' .. ARGV[i + 1]
  local field = 'u|' .. suffix
  local before = value[field] or tonumber(row[at[field]])
  if not before then
    put('p|' .. suffix, ARGV[i + 2] .. ':' .. ARGV[i + 3])
    keep(ARGV[i + 3])
  end
  put(field, (before or 0) + ARGV[i + 4])
end
if hold then
  for j = 2, #hold, 4 do
    local field = 'h|' .. hold[j] .. '|' .. hold[j + 2]
    local before
    if at[field] then
      before = row[at[field]]
    else
      before = redis.call('HGET', key, field)
    end
    put(field, math.max((tonumber(before) or 0) - hold[j + 3], 0))
  end
  redis.call('HDEL', key, names[2])
  if hold.m and #ARGV > 2 then
    -- charged: the message may be repeated, unless an attempt of the same time still allows that
    local field = 'c|' .. hold.m
    local charged = redis.call('HGET', key, field)
    if not repeatable(charged, hold.a) then
      put(field, string.format('%.0f:0', hold.a))
    end
  end
end
if #set > 0 then
  local pairs_of = {}
  for n = 1, #set do
    pairs_of[2 * n - 1], pairs_of[2 * n] = set[n], value[set[n]]
  end
  redis.call('HSET', key, unpack(pairs_of))
end
redis.call('SET', KEYS[2], row[1], 'PX', ARGV[2])
return hold and 1 or 2
