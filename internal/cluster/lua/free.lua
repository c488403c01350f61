-- ARGV: node, boot, token, name, hand, keep ms.
local e = entry(ARGV[4])
if e and e.node == ARGV[1] and e.boot == ARGV[2] and e.token == tonumber(ARGV[3]) then
  local key = P .. ':stream:' .. ARGV[4]
  redis.call('HSET', key, 'node', '', 'boot', '')
  remember(ARGV[4], ARGV[5])
  redis.call('PEXPIRE', key, ARGV[6])
  redis.call('PUBLISH', P .. ':changed', ARGV[4] .. ' ' .. ARGV[1])
end
return 1
