-- room, key, its hash → ok. Copies a pair from the old layout unless it has changed meanwhile. The old pair stays until
-- the room is reset or deleted, so that an operator can go back to LiveGo.
local room, key, hash = unpack(ARGV)
if old_key(room) == key and not moved(room) then put(room, key, hash) end
return answer('ok')
