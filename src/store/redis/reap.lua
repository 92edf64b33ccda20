-- Gives back expired holds and drops counters of periods that ended a week ago. Reads the whole domain, so it is called
-- only when some lease has ended. Returns how many holds were given back.
local function reap(now)
  local all = redis.call('HGETALL', key)
  local value, back, due, count = {}, {}, nil, 0
  for i = 1, #all, 2 do
    local field = all[i]
    local kind = string.sub(field, 1, 2)
    if kind == 'r|' then
      local hold = cmsgpack.unpack(all[i + 1])
      if hold[1] <= now then
        count = count + 1
        redis.call('HDEL', key, field)
        for j = 2, #hold, 4 do
          local held = 'h|' .. hold[j] .. '|' .. hold[j + 2]
          back[held] = (back[held] or 0) + hold[j + 3]
        end
      elseif not due or hold[1] < due then
        due = hold[1]
      end
    elseif kind == 'h|' or kind == 'p|' then
      value[field] = all[i + 1]
    elseif kind == 'c|' and not repeatable(all[i + 1], now) then
      redis.call('HDEL', key, field)
    elseif kind == 'g|' and tonumber(all[i + 1]) < now * 1000 then
      redis.call('HDEL', key, field)
    end
  end
  for field, amount in pairs(back) do
    local left = math.max((tonumber(value[field]) or 0) - amount, 0)
    value[field] = left
    redis.call('HSET', key, field, left)
  end
  for field, period in pairs(value) do
    if string.sub(field, 1, 2) == 'p|' then
      local bucket = string.sub(field, 3)
      local ended = tonumber(string.match(period, ':(%d+)$')) + WEEK_MS < now
      if ended and (tonumber(value['h|' .. bucket]) or 0) == 0 then
        redis.call('HDEL', key, 'u|' .. bucket, 'h|' .. bucket, field)
      end
    end
  end
  if due then
    redis.call('HSET', key, 'd', due)
  else
    redis.call('HDEL', key, 'd')
  end
  keep(now)
  return count
end
