-- Reads numbers and takes nothing. KEYS: [1] the domain. ARGV: see holds.lua, with an empty rid and lease.
-- Answers {0} cold; {1, now ms, (epoch, used, held, wait ms)…, then for each hold when its owner's epoch was opened (ms)}.
if not load() then
  return { 0 }
end
local reply = standings({ 1, now })
for i = 1, count do
  local owner = row[4 + arg(i, 2)]
  reply[#reply + 1] = owner and tonumber(string.match(owner, ':(%d+)$')) or 0
end
return reply
