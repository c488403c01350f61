-- room, new key, its hash, most rooms → ok, key · old, room, key · full
local room, key, hash, max = unpack(ARGV)
local current = redis.call('HGET', room_entry(room), 'key')
if current then return answer('ok', current) end
local old = old_key(room)
if old then return answer('old', room, old) end
if full(max) then return answer('full') end
put(room, key, hash)
return answer('ok', key)
