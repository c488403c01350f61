-- ARGV: node, boot.
if got(P .. ':node:' .. ARGV[1]) == ARGV[2] then
  redis.call('DEL', P .. ':node:' .. ARGV[1])
  redis.call('PUBLISH', P .. ':changed', ' ' .. ARGV[1])
end
return 1
