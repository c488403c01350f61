-- room, key, its hash, most rooms, keep (1 or 0), token → ok · in use · full
local room, key, hash, max, keep, token = unpack(ARGV)
local current, old = owner(key, hash)
if current and current ~= room then return answer('in use') end
if current and not old then return answer('ok') end
if not remove(room) and full(max) then return answer('full') end
put(room, key, hash)
if keep == '0' then revoke(room, token) end
return answer('ok')
