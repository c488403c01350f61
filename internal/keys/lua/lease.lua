-- key, its hash → ok, room, token of the room's last revocation · old, room, key · unknown
local key, hash = unpack(ARGV)
local room, old = owner(key, hash)
if not room then return answer('unknown') end
if old then return answer('old', room, key) end
return answer('ok', room, redis.call('GET', revocations .. ':' .. room))
