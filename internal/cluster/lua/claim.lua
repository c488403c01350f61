-- ARGV: node, boot, lease ms, info, stale ms, keep ms, name. Returns held or got, and the entry; or twin.
local node, boot, name = ARGV[1], ARGV[2], ARGV[7]
if not renew(node, boot, ARGV[3], ARGV[4], ARGV[5]) then return 'twin' end
local e = entry(name)
if not (e and e.node == node and e.boot == boot) then
  if e and lives(e.node, e.boot) then return {'held', described(name, e)} end
  put(name, node, boot, fence(), ARGV[6])
  e = entry(name)
end
return {'got', described(name, e)}
