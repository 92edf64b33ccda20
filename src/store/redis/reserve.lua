-- Takes all holds or none. KEYS: [1] the domain, [2] the request's tombstone. ARGV: see holds.lua.
-- Answers {0} cold; {1, ms} wait; {2, now ms, (epoch, used, held, wait ms)…} admitted, with the numbers afterwards;
-- {4, now ms, which repeat, (…)…} the same, nothing of the quota holds was taken;
-- {3, now ms, index from 0 of the first hold that does not fit, (epoch, used, held, wait ms)…} refused, nothing changed.
if not load() then
  return { 0 }
end
if row[3] then
  local wait = row[3] - now
  if wait > 0 then
    return { 1, wait }
  end
  redis.call('HDEL', key, 'w', 'a')
end
if row[4] then
  -- the same request again: its numbers in the epochs it was admitted in
  local hold = cmsgpack.unpack(row[4])
  local taken = {}
  for j = 2, #hold, 4 do
    taken[hold[j]] = hold[j + 1]
  end
  for i = 1, count do
    epoch[i] = taken[arg(i, 3)] or epoch[i]
  end
  fetch()
  return standings(hold.n and { 4, now, hold.n } or { 2, now })
end
if redis.call('GET', KEYS[2]) == row[1] then
  return standings({ 2, now })
end

local repeated, first_at = 0, nil
if message then
  local at, repeats = repeatable(row[5 + owners + 2 * count], now)
  if at then
    repeated, first_at = repeats + 1, at
  end
end

local rates = {}
for i = 1, count do
  local amount, max = tonumber(arg(i, 4)), tonumber(arg(i, 5))
  local fits
  if arg(i, 1) == 'r' then
    local interval = tonumber(arg(i, 6))
    rates[i] = math.max(held(i), now_us) + interval * amount
    fits = max > 0 and amount <= max and rates[i] - now_us <= interval * max
  elseif repeated > 0 and arg(i, 1) == 'q' then
    fits = max > 0
  else
    -- not a sum: used + held + amount may leave the integers that are exact
    fits = amount <= max - used(i) - held(i)
  end
  if not fits then
    return standings({ 3, now, i - 1 })
  end
end

local expires = now + ARGV[3]
local hold = { expires }
local set = { 'r|' .. ARGV[2], '' }
for i = 1, count do
  local place = 3 + owners + 2 * i
  local n = #set
  if arg(i, 1) == 'r' then
    set[n + 1], set[n + 2] = first[i], rates[i]
    row[place] = rates[i]
  else
    local bucket, quota = arg(i, 3), arg(i, 1) == 'q'
    local amount = quota and repeated > 0 and 0 or tonumber(arg(i, 4))
    local h = #hold
    hold[h + 1], hold[h + 2], hold[h + 3], hold[h + 4] = bucket, epoch[i], quota and epoch[i] or '0', amount
    row[place] = held(i) + amount
    set[n + 1], set[n + 2] = first[i], row[place]
    if quota and not row[place + 1] then
      set[n + 3], set[n + 4] = second[i], 0
      set[n + 5], set[n + 6] = 'p' .. string.sub(second[i], 2), arg(i, 6) .. ':' .. arg(i, 7)
      keep(arg(i, 7))
    end
  end
end
if repeated > 0 then
  hold.n = repeated
  set[#set + 1] = 'c|' .. message
  set[#set + 1] = first_at .. ':' .. repeated
elseif message then
  hold.m, hold.a = message, now
end
set[2] = cmsgpack.pack(hold)
if not row[2] or expires < tonumber(row[2]) then
  set[#set + 1] = 'd'
  set[#set + 1] = expires
end
redis.call('HSET', key, unpack(set))
return standings(repeated > 0 and { 4, now, repeated } or { 2, now })
