-- What all scripts share; each is appended to this one. KEYS[1] is the prefix P, with a hash tag, so that all keys lie in one
-- slot of a Redis Cluster. Keys in Redis:
--
--   P:room:<room>     hash: key, and hash, the SHA-256 of the key in hex
--   P:key:<hash>      room
--   P:rooms           sorted set of all rooms, each with score 0
--   P:revoked:<room>  token of the room's last revocation; it expires
--   P:revoked         channel: rooms of which leases may have been revoked
--
-- LiveGo's own layout, which is read and removed but never written, is the pair "SET room key", "SET key room"
-- without a prefix. Half a pair means nothing, nor does a pair whose two sides both look like keys, as it does not
-- say which of them is public. A room that has moved to the new layout is read from there only. A Redis Cluster never had the
-- old layout: there its names lie in other slots, and reading them fails.

local P = KEYS[1]
local rooms = P .. ':rooms'
local revocations = P .. ':revoked'
local revocation_ttl = 7 * 24 * 3600

local function answer(status, a, b) return {status, a or '', b or ''} end
local function room_entry(room) return P .. ':room:' .. room end
local function key_entry(hash) return P .. ':key:' .. hash end

local function looks_like_key(s) return #s == 48 and not string.find(s, '[^0-9a-zA-Z]') end

-- What another program may have stored under a name without our prefix is of any type: pcall.
local function get_old(name)
  local value = redis.pcall('GET', name)
  return type(value) == 'string' and value or false
end

local function old_key(room)
  local key = get_old(room)
  local pair = key and looks_like_key(key) and not looks_like_key(room) and get_old(key) == room
  return pair and key or false
end

local function moved(room) return redis.call('EXISTS', room_entry(room)) == 1 end

-- Returns the room that the key opens, or false, and whether only the old layout says so.
local function owner(key, hash)
  local room = redis.call('GET', key_entry(hash))
  if room then return room, false end
  room = looks_like_key(key) and get_old(key)
  if room and old_key(room) == key and not moved(room) then return room, true end
  return false, false
end

local function full(max) return redis.call('ZCARD', rooms) >= tonumber(max) end

local function put(room, key, hash)
  redis.call('HSET', room_entry(room), 'key', key, 'hash', hash)
  redis.call('SET', key_entry(hash), room)
  redis.call('ZADD', rooms, 0, room)
end

-- Removes the room from both layouts and returns whether it was in one.
local function remove(room)
  local hash = redis.call('HGET', room_entry(room), 'hash')
  if hash then redis.call('DEL', room_entry(room), key_entry(hash)) end
  redis.call('ZREM', rooms, room)
  local old = old_key(room)
  if old then redis.call('DEL', room, old) end
  return hash or old
end

local function revoke(room, token)
  redis.call('SET', revocations .. ':' .. room, token, 'EX', revocation_ttl)
  redis.call('PUBLISH', revocations, room)
end

