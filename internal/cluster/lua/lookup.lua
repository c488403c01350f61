-- ARGV: mourning in seconds, names. Returns those that a node that lives has, or one that died within that time: name, entry, and
-- 1 if the node lives.
local mourning = tonumber(ARGV[1])
local function diedLately(node)
  if node == '' or got(P .. ':node:' .. node) then return false end
  local last = redis.pcall('ZSCORE', P .. ':nodes', node)
  last = type(last) == 'string' and tonumber(last)
  return last and math.abs(clock() / 1000000 - last) <= mourning
end
local found = {}
for i = 2, #ARGV do
  local e = entry(ARGV[i])
  if not e then
    redis.pcall('SREM', P .. ':streams', ARGV[i])
  elseif lives(e.node, e.boot) then
    found[#found + 1] = {ARGV[i], described(ARGV[i], e), '1'}
  elseif diedLately(e.node) then
    found[#found + 1] = {ARGV[i], described(ARGV[i], e), '0'}
  end
end
return found
