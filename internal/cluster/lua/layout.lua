-- The layout. KEYS[1] is the prefix P, with a hash tag, so that all keys lie in one slot of a Redis Cluster.
--
--   P:node:ID        boot id of the node's present life; expires: the only lease
--   P:node:ID:info   what the node says about itself, as JSON
--   P:nodes          sorted set of node ids by their last beat, in seconds of Redis' clock
--   P:stream:NAME    hash: node, boot, token, since (ms), hand; good while the lease of node holds boot
--   P:streams        set of the names that have an entry
--   P:fence          the last token that was given
--   P:tokens         sorted set of viewers' tokens that are revoked, by the time (ms) until which
--   P:tokens:version another text after each change of that set
--   P:changed        channel: "NAME NODE" of a stream, " NODE" of a node
local P = KEYS[1]
local function clock() -- in microseconds
  local t = redis.call('TIME')
  return tonumber(t[1]) * 1000000 + tonumber(t[2])
end
local function text(n) return string.format('%.0f', n) end
-- Keys of somebody else in place of ours are taken away when they are in the way, and are nothing before.
local function own(command, key, ...)
  local reply = redis.pcall(command, key, ...)
  if type(reply) == 'table' and reply.err then
    redis.call('DEL', key)
    reply = redis.call(command, key, ...)
  end
  return reply
end
local function got(key)
  local value = redis.pcall('GET', key)
  return type(value) == 'string' and value or nil
end
local function lives(node, boot)
  return node and node ~= '' and got(P .. ':node:' .. node) == boot
end
-- False while another life of the node has its lease. Without an end it is none of ours.
local function renew(node, boot, lease, info, stale)
  local key = P .. ':node:' .. node
  local has = got(key)
  local left = has and has ~= boot and redis.call('PTTL', key) or 0
  if left > 0 and left <= tonumber(lease) then return false end
  redis.call('SET', key, boot, 'PX', lease)
  redis.call('SET', P .. ':node:' .. node .. ':info', info, 'PX', stale)
  own('ZADD', P .. ':nodes', text(math.floor(clock() / 1000000)), node)
  return true
end
local function entry(name)
  local e = redis.pcall('HMGET', P .. ':stream:' .. name, 'node', 'boot', 'token', 'since', 'hand')
  local token = not e.err and e[3] and tonumber(e[3])
  if not token or token < 0 or token >= 9007199254740992 then return nil end
  return {node = e[1] or '', boot = e[2] or '', token = token, since = text(tonumber(e[4] or '') or 0), hand = e[5] or ''}
end
-- A last token of more than a day ahead is not one of ours: with such ones they would not rise any more.
local function lastToken()
  local last = tonumber(got(P .. ':fence') or '') or 0
  return last < clock() + 86400000000 and last or 0
end
local function fence()
  local token = math.max(clock(), lastToken() + 1)
  redis.call('SET', P .. ':fence', text(token))
  return token
end
local function put(name, node, boot, token, keep)
  local key = P .. ':stream:' .. name
  own('HSET', key, 'node', node, 'boot', boot, 'token', text(token), 'since', text(math.floor(clock() / 1000)))
  redis.call('PEXPIRE', key, keep)
  own('SADD', P .. ':streams', name)
  redis.call('PUBLISH', P .. ':changed', name .. ' ' .. node)
end
local function remember(name, hand)
  if hand ~= '' then redis.call('HSET', P .. ':stream:' .. name, 'hand', hand) end
end
local function described(name, e)
  local info = e.node ~= '' and got(P .. ':node:' .. e.node .. ':info') or ''
  return {e.node, e.boot, text(e.token), e.since, e.hand, info or ''}
end
