-- ARGV: stale seconds. Returns {id, boot of the lease or '', info} of all nodes.
own('ZREMRANGEBYSCORE', P .. ':nodes', '-inf', text(math.floor(clock() / 1000000) - tonumber(ARGV[1])))
local all = {}
for _, id in ipairs(redis.call('ZRANGE', P .. ':nodes', 0, -1)) do
  local info = got(P .. ':node:' .. id .. ':info')
  if info then all[#all + 1] = {id, got(P .. ':node:' .. id) or '', info} end
end
return all
