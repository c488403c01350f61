-- room, keep (1 or 0), token → ok · no room
local room, keep, token = unpack(ARGV)
if not remove(room) then return answer('no room') end
if keep == '0' then revoke(room, token) end
return answer('ok')
