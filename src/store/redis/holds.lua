-- The holds of a call and their numbers. ARGV: [1] shift ms, [2] rid, [3] lease ms, [4] number of owners, then for each
-- owner: `scope|owner`, epoch as the gateway last saw it; then for each hold: kind (q quota, o open, r rate), index of
-- its owner, B, amount, max, and start and end of the period (ms) or the interval of the rate (µs) and an empty text;
-- last, where there is one, the key of the message.
-- One HMGET reads all; another follows only if an epoch was not as the gateway thought, or a lease has ended.
local now_us = now_us(ARGV[1])
local now = math.floor(now_us / 1000)
local owners = tonumber(ARGV[4])
local base = 4 + 2 * owners
local count = math.floor((#ARGV - base) / 7)
local message = ARGV[base + 7 * count + 1]
local owner_epoch, epoch, first, second = {}, {}, {}, {}
local row

local function arg(i, n)
  return ARGV[base + (i - 1) * 7 + n]
end

local function fetch()
  local names = { 'm', 'd', 'w', 'r|' .. ARGV[2] }
  for o = 1, owners do
    names[4 + o] = 'e|' .. ARGV[3 + 2 * o]
  end
  for i = 1, count do
    local kind, bucket = arg(i, 1), arg(i, 3)
    if kind == 'q' then
      local suffix = bucket .. '|' .. epoch[i]
      first[i], second[i] = 'h|' .. suffix, 'u|' .. suffix
    elseif kind == 'o' then
      first[i], second[i] = 'h|' .. bucket .. '|0', 'm'
    else
      first[i], second[i] = 'g|' .. bucket, 'm'
    end
    names[#names + 1] = first[i]
    names[#names + 1] = second[i]
  end
  if message then
    names[#names + 1] = 'c|' .. message
  end
  row = redis.call('HMGET', key, unpack(names))
end

local function held(i)
  return tonumber(row[3 + owners + 2 * i]) or 0
end

local function used(i)
  return arg(i, 1) == 'q' and tonumber(row[4 + owners + 2 * i]) or 0
end

-- Reads the numbers in the owners' epochs. Returns false if the domain is cold.
local function load()
  for o = 1, owners do
    owner_epoch[o] = ARGV[4 + 2 * o]
  end
  for i = 1, count do
    epoch[i] = owner_epoch[tonumber(arg(i, 2))]
  end
  fetch()
  if not warm(row[1]) then
    return false
  end
  local again = false
  if row[2] and tonumber(row[2]) <= now then
    reap(now)
    again = true
  end
  for o = 1, owners do
    local known = row[4 + o]
    local true_epoch = known and string.match(known, '^%d+') or '0'
    if true_epoch ~= owner_epoch[o] then
      owner_epoch[o] = true_epoch
      again = true
    end
  end
  if again then
    for i = 1, count do
      epoch[i] = owner_epoch[tonumber(arg(i, 2))]
    end
    fetch()
  end
  return true
end

-- Appends epoch, used, held, wait ms of each hold. `memory/gcra.rs` does the same arithmetic.
local function standings(reply)
  for i = 1, count do
    local n = #reply
    reply[n + 1] = tonumber(epoch[i])
    if arg(i, 1) == 'r' then
      local interval = tonumber(arg(i, 6))
      local ahead = math.max(held(i) - now_us, 0)
      local wait = math.max(ahead + interval - interval * arg(i, 5), 0)
      reply[n + 2], reply[n + 3], reply[n + 4] = math.ceil(ahead / interval), 0, math.ceil(wait / 1000)
    else
      reply[n + 2], reply[n + 3], reply[n + 4] = used(i), held(i), 0
    end
  end
  return reply
end
