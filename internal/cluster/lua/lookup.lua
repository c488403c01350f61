-- ARGV: names. Returns the entries of those that a node that lives has, with their names.
local found = {}
for i = 1, #ARGV do
  local e = entry(ARGV[i])
  if not e then
    redis.pcall('SREM', P .. ':streams', ARGV[i])
  elseif lives(e.node, e.boot) then
    found[#found + 1] = {ARGV[i], described(ARGV[i], e)}
  end
end
return found
