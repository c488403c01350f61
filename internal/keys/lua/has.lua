-- room → ok · no room
local room = unpack(ARGV)
if moved(room) or old_key(room) then return answer('ok') end
return answer('no room')
