-- ARGV: node, boot, lease ms, info, stale ms, keep ms, then name, token and hand of each stream.
-- Returns the clock in µs, {name, token, …} of new tokens, {name, …} of lost streams; or
-- twin, if another life of the node has its lease.
local node, boot, keep = ARGV[1], ARGV[2], ARGV[6]
if not renew(node, boot, ARGV[3], ARGV[4], ARGV[5]) then return 'twin' end
local tokens, lost = {}, {}
for i = 7, #ARGV, 3 do
  local name, token, hand = ARGV[i], tonumber(ARGV[i + 1]), ARGV[i + 2]
  local e = entry(name)
  if e and e.node == node and e.boot == boot then
    if e.token ~= token then tokens[#tokens + 1] = name; tokens[#tokens + 1] = text(e.token) end
    remember(name, hand)
    redis.call('PEXPIRE', P .. ':stream:' .. name, keep)
  elseif e and e.token > token and lives(e.node, e.boot) then
    lost[#lost + 1] = name
  else
    if token == 0 or e and e.token > token then
      token = fence()
      tokens[#tokens + 1] = name; tokens[#tokens + 1] = text(token)
    elseif token > lastToken() then
      redis.call('SET', P .. ':fence', text(token))
    end
    put(name, node, boot, token, keep)
    remember(name, hand)
  end
end
return {text(clock()), tokens, lost}
