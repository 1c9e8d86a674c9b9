-- What reserving and settling do to the records of a Redis server: the rules of `tierwise.state.rules`, in its language.
-- First every claim is looked at, and nothing is changed; only if none is denied is anything set aside.
--
-- KEYS[1]  the set of leases; its name without "leases" is what all keys begin with
-- ARGV[1]  the operation, ARGV[2] the time in seconds (the server's own, if empty), ARGV[3] the arguments as JSON
--
-- Lua's numbers are doubles, which hold whole numbers up to 2^53. What one call takes is below that. Totals and caps may
-- not be: they come and go as text, are added up by Redis itself, and are compared in two halves.

local PREFIX = string.sub(KEYS[1], 1, -7)
local LEASES = KEYS[1]
local RETENTION = 86400 -- seconds for which a lapsed reservation is remembered, so that a late settlement counts, once
local IDLE = 86400 -- seconds after which a circuit or a rate that nobody used says nothing any more
local POLL = 0.02 -- seconds after which it is worth asking again for what is free when another call ends
local POLLS = 25 -- the most times that for one who waits behind others
local MOST = 1000 -- the most leases that one operation looks after

local given = cjson.decode(ARGV[3])
local now = tonumber(ARGV[2])
if not now then
  local time = redis.call('TIME')
  now = time[1] + time[2] / 1e6
end

-- Figures as text: Lua's own form of a number keeps 14 digits, too few for a time.
local function float(value) return string.format('%.17g', value) end
local function whole(value) return string.format('%.0f', value) end

local function halves(text)
  return tonumber(string.sub(text, 1, -10)) or 0, tonumber(string.sub(text, -9))
end

local function larger(a, b)
  local a_high, a_low = halves(a)
  local b_high, b_low = halves(b)
  if a_high > b_high or (a_high == b_high and a_low > b_low) then return a end
  return b
end

local function less(total, ...)
  local high, low = halves(total)
  for _, text in ipairs({...}) do
    local h, l = halves(text)
    high, low = high - h, low - l
  end
  return high * 1e9 + low -- exact below 2^53; above it there is enough for any call
end

local function hash(key)
  local found, flat = {}, redis.call('HGETALL', key)
  for i = 1, #flat, 2 do found[flat[i]] = flat[i + 1] end
  return found
end

-- Lets a key live for so many seconds from now.
local function keep(key, seconds)
  redis.call('PEXPIRE', key, whole(math.ceil(math.min(seconds, 1e10) * 1000)))
end

local function keep_longer(key, seconds)
  local left = redis.call('PTTL', key)
  if left < seconds * 1000 then keep(key, seconds) end
end

-- Accounts.

local function account_key(key) return PREFIX .. 'account:' .. key end

local function account_of(key)
  local found = redis.call('HMGET', account_key(key), 'spent', 'reserved', 'cap')
  return {spent = found[1] or '0', reserved = found[2] or '0', cap = found[3]}
end

local function cap_of(claim, account)
  if account.cap then return larger(claim.cap, account.cap) end
  return claim.cap
end

-- How long the account is kept: never less than what is set aside of it.
local function keep_account(key, seconds, lease)
  if seconds then keep_longer(account_key(key), math.max(seconds, lease))
  else redis.call('PERSIST', account_key(key)) end
end

-- The output tokens that the account can pay; below zero if it cannot even pay what comes before them.
local function room(claim, account, most)
  local free = less(cap_of(claim, account), account.spent, account.reserved) - claim.amount
  if free < 0 then return -1 end
  if claim.each == 0 then return most end
  return math.min(most, math.floor(free / claim.each))
end

-- Why a claim cannot be reserved, or nothing: {retry_after or false, spent, reserved, cap}.

local function spend_denied(claim, account, units, least)
  if units >= least and units >= 0 then return nil end
  return {false, account.spent, account.reserved, cap_of(claim, account)}
end

local function slot_denied(claim, ahead, wanted)
  local taken = redis.call('SCARD', PREFIX .. 'slots:' .. claim.key)
  if taken + (wanted[claim.key] or 0) < claim.size then return nil end
  return {POLL * math.min(1 + ahead, POLLS), '0', whole(taken), whole(claim.size), ahead}
end

local function full_at(key) return tonumber(redis.call('GET', PREFIX .. 'rate:' .. key) or '0') end

local function rate_denied(claim, ahead, wanted)
  if claim.amount > claim.burst then return {false, '0', '0', whole(claim.burst)} end
  local amount = (wanted[claim.key] or 0) + claim.amount
  local late = math.max(full_at(claim.key), now) + (amount - claim.burst) * claim.period / claim.limit - now
  if late <= 0 then return nil end
  return {late, '0', '0', whole(claim.limit), ahead}
end

local function circuit_denied(claim)
  local circuit = hash(PREFIX .. 'circuit:' .. claim.key)
  if not circuit.open_until then return nil end
  local open_until = tonumber(circuit.open_until)
  if now < open_until then return {open_until - now, '0', '0', '0'} end
  if not circuit.probe or now >= tonumber(circuit.probe_until) then return nil end
  return {math.max(POLL, circuit.probe_until - now), '0', '0', '0'}
end

local function turn_denied() end

local denied_by = {slot = slot_denied, rate = rate_denied, circuit = circuit_denied, turn = turn_denied}

-- Lines: who goes next of those that wait (see `tierwise.state.lines`). A line is one text, for it is short.

local function line_of(claim)
  local text = redis.call('GET', PREFIX .. 'line:' .. claim.key)
  return text and cjson.decode(text) or {served = 0, came = 0, waiting = {}}
end

local function keep_line(claim, line)
  local key = PREFIX .. 'line:' .. claim.key
  local last
  for _, waiter in pairs(line.waiting) do last = math.max(last or 0, waiter.ends) end
  if not last then
    redis.call('DEL', key)
    return
  end
  redis.call('SET', key, cjson.encode(line))
  keep(key, math.max(last - now, 0.001))
end

-- The rank of a call, and its number: where it waits, or would if it came now.
local function place_of(line, claim)
  local known = line.waiting[given.call]
  if known then return known.rank, known.number end
  local latest = line.served
  for _, waiter in pairs(line.waiting) do
    if waiter.party == claim.party then latest = math.max(latest, waiter.rank) end
  end
  return latest + 1, line.came + 1
end

-- How many wait before the call, and what they want, by the key of the slot or rate.
local function before()
  local most, wanted = 0, {}
  for _, claim in ipairs(given.claims) do
    local line = claim.kind == 'turn' and line_of(claim)
    if line and next(line.waiting) then
      for call, waiter in pairs(line.waiting) do
        if waiter.ends <= now then line.waiting[call] = nil end
      end
      keep_line(claim, line)
      local rank, number = place_of(line, claim)
      local ahead = 0
      for call, waiter in pairs(line.waiting) do
        local earlier = waiter.rank < rank or (waiter.rank == rank and waiter.number < number)
        if call ~= given.call and earlier then
          ahead = ahead + 1
          for key, amount in pairs(waiter.wants) do wanted[key] = (wanted[key] or 0) + amount end
        end
      end
      most = math.max(most, ahead)
    end
  end
  return most, wanted
end

local function join(ends)
  local wants = {}
  for _, claim in ipairs(given.claims) do
    if claim.kind == 'slot' then wants[claim.key] = 1 end
    if claim.kind == 'rate' then wants[claim.key] = claim.amount end
  end
  for _, claim in ipairs(given.claims) do
    if claim.kind == 'turn' then
      local line = line_of(claim)
      local rank, number = place_of(line, claim)
      line.came = math.max(line.came, number)
      line.waiting[given.call] = {rank = rank, number = number, party = claim.party, ends = ends, wants = wants}
      keep_line(claim, line)
    end
  end
end

local function leave(claim, served)
  local line = line_of(claim)
  if not next(line.waiting) then return end
  if served then line.served = math.max(line.served, (place_of(line, claim))) end
  line.waiting[given.call] = nil
  keep_line(claim, line)
end

-- Setting aside: each notes in the call's own record what it did.

local set_aside = {}

function set_aside.spend(claim, held, lease)
  local amount = whole(claim.amount + claim.each * held.units)
  redis.call('HINCRBY', account_key(claim.key), 'reserved', amount)
  keep_account(claim.key, claim.keep, lease)
  held['account:' .. claim.key] = amount
end

function set_aside.slot(claim, held, lease)
  redis.call('SADD', PREFIX .. 'slots:' .. claim.key, given.call)
  keep_longer(PREFIX .. 'slots:' .. claim.key, lease + RETENTION)
  held['slot:' .. claim.key] = '1'
end

local function fill(claim, amount)
  local full = math.max(full_at(claim.key), now) + amount * claim.period / claim.limit
  redis.call('SET', PREFIX .. 'rate:' .. claim.key, float(full))
  keep(PREFIX .. 'rate:' .. claim.key, math.max(full, now) + IDLE - now)
end

function set_aside.rate(claim, held)
  fill(claim, claim.amount)
  held['rate:' .. claim.key] = whole(claim.amount)
end

function set_aside.circuit(claim, held, lease)
  local key = PREFIX .. 'circuit:' .. claim.key
  if redis.call('HEXISTS', key, 'open_until') == 0 then return end
  local ends = held.expires
  if claim.probe then ends = float(math.min(now + lease, now + claim.probe)) end
  redis.call('HSET', key, 'probe', given.call, 'probe_until', ends)
  keep(key, lease + IDLE)
  held['probe:' .. claim.key] = '1'
  held.probe = '1'
end

function set_aside.turn(claim) leave(claim, true) end

-- Calls.

local function call_key(call) return PREFIX .. 'call:' .. call end

-- Frees what a call has set aside; a rate's share is not given back, for it may have been used.
local function give_back(call, held)
  if held.lapsed then return end
  for field, value in pairs(held) do
    local kind, key = string.match(field, '^(%l+):(.*)$')
    if kind == 'account' and redis.call('EXISTS', account_key(key)) == 1 then
      redis.call('HINCRBY', account_key(key), 'reserved', whole(0 - value)) -- minus zero is no number to Redis
    elseif kind == 'slot' then
      redis.call('SREM', PREFIX .. 'slots:' .. key, call)
    elseif kind == 'probe' and redis.call('HGET', PREFIX .. 'circuit:' .. key, 'probe') == call then
      redis.call('HDEL', PREFIX .. 'circuit:' .. key, 'probe', 'probe_until')
    end
  end
end

local function sweep()
  local lapsed = redis.call('ZRANGEBYSCORE', LEASES, '-inf', float(now), 'LIMIT', 0, MOST)
  for _, call in ipairs(lapsed) do
    local held = hash(call_key(call))
    if held.expires then
      give_back(call, held)
      redis.call('HSET', call_key(call), 'lapsed', '1')
    end
    redis.call('ZREM', LEASES, call)
  end
  return #lapsed
end

-- How models have done.

local function figure(name, model) return tonumber(redis.call('HGET', PREFIX .. name, model) or nil) end

local function error_rate(model)
  local rate = figure('errors', model)
  return rate and rate * 2 ^ (-math.max(0, now - figure('called', model)) / 60)
end

local function averages(model)
  local rate = error_rate(model)
  return {redis.call('HGET', PREFIX .. 'latency', model), rate and float(rate) or false}
end

local function note(name, model, value)
  redis.call('HSET', PREFIX .. name, model, float(value))
  keep(PREFIX .. name, given.kept)
end

local function moved(old, new) return old and old + given.weight * (new - old) or new end

local function observe(observed)
  note('errors', observed.model, moved(error_rate(observed.model), observed.failed and 1 or 0))
  note('called', observed.model, now)
  if observed.seconds then note('latency', observed.model, moved(figure('latency', observed.model), observed.seconds)) end
  return averages(observed.model)
end

-- The operations.

local operations = {}

function operations.reserve()
  sweep()
  local key = call_key(given.call)
  local held = hash(key)
  if held.units and not held.lapsed then return {1, held.units, held.probe or '0'} end
  local units, longest, worst = given.most, nil, nil
  local ahead, wanted = before()
  for index, claim in ipairs(given.claims) do
    local denied
    if claim.kind == 'spend' then
      local account = account_of(claim.key)
      local payable = room(claim, account, given.most)
      units = math.min(units, payable)
      denied = spend_denied(claim, account, payable, given.least)
    else
      denied = denied_by[claim.kind](claim, ahead, wanted)
    end
    local wait = denied and (denied[1] or math.huge)
    if denied and (not longest or wait > longest) then
      longest = wait
      worst = {0, index - 1, denied[1] and float(denied[1]) or '', denied[2], denied[3], denied[4], denied[5] or 0}
    end
  end
  if worst and given.wait > 0 and longest < math.huge then join(now + longest + given.wait) end
  if worst then return worst end
  held = {units = units, expires = float(now + given.lease)}
  for _, claim in ipairs(given.claims) do set_aside[claim.kind](claim, held, given.lease) end
  held.units = whole(units)
  redis.call('DEL', key)
  local flat = {}
  for field, value in pairs(held) do
    flat[#flat + 1] = field
    flat[#flat + 1] = value
  end
  redis.call('HSET', key, unpack(flat))
  keep(key, given.lease + RETENTION)
  redis.call('ZADD', LEASES, held.expires, given.call)
  keep_longer(LEASES, given.lease + RETENTION)
  return {1, held.units, held.probe or '0'}
end

local settle = {}

function settle.spend(claim, held)
  redis.call('HINCRBY', account_key(claim.key), 'spent', claim.taken or held['account:' .. claim.key])
  keep_account(claim.key, claim.keep, 0)
end

function settle.slot() end

function settle.turn() end

function settle.rate(claim, held)
  if claim.taken then fill(claim, claim.taken - held['rate:' .. claim.key]) end
end

function settle.circuit(claim, held)
  local key = PREFIX .. 'circuit:' .. claim.key
  local circuit = hash(key)
  local health, pause = claim.health or 'unknown', claim.retry_after or 0
  if not circuit.failures and (health == 'good' or health == 'unknown') and pause <= 0 then return end
  local open_until, probed = tonumber(circuit.open_until), held['probe:' .. claim.key]
  local failures, openings = tonumber(circuit.failures or 0), tonumber(circuit.openings or 0)
  local first = probed or not open_until
  if health == 'good' and first then
    redis.call('DEL', key)
    return
  end
  if health == 'bad' then failures = failures + 1 end
  -- A failed call that began before the circuit opened says nothing new of it.
  local failed = health == 'bad' and (probed or (not open_until and failures >= claim.failures))
  if failed or health == 'down' then
    if first then openings = openings + 1 end
    pause = math.max(pause, math.min(claim.cooldown * 2 ^ math.min(openings - 1, 32), claim.longest))
  end
  if pause > 0 then
    open_until = math.max(open_until or 0, now + pause)
    redis.call('HSET', key, 'open_until', float(open_until))
  end
  redis.call('HSET', key, 'failures', failures, 'openings', openings)
  keep(key, math.max(open_until or now, now) + IDLE - now)
end

function operations.settle()
  sweep()
  local key = call_key(given.call)
  local held = hash(key)
  if held.expires then
    give_back(given.call, held)
    redis.call('DEL', key)
    redis.call('ZREM', LEASES, given.call)
    for _, claim in ipairs(given.claims) do settle[claim.kind](claim, held) end
  else
    for _, claim in ipairs(given.claims) do
      if claim.kind == 'turn' then leave(claim, false) end
    end
  end
  return given.observed and observe(given.observed) or {}
end

function operations.lift()
  local old = redis.call('HGET', account_key(given.key), 'cap')
  redis.call('HSET', account_key(given.key), 'cap', old and larger(given.cap, old) or given.cap)
  keep_account(given.key, given.keep, 0)
  return {}
end

function operations.balance()
  while sweep() > 0 do end
  local account = account_of(given.key)
  return {account.spent, account.reserved, account.cap}
end

-- Runs that are made once: the rules of `tierwise.state.once`.

local function once_key() return PREFIX .. 'once:' .. given.key end

function operations.begin_once()
  local key = once_key()
  local kept = hash(key)
  local known = kept.run and tonumber(kept.ends) > now
  if known and kept.fingerprint ~= given.fingerprint then return {'other', kept.run, '0', ''} end
  if known and kept.body then return {'done', kept.run, '0', kept.body} end
  local left = known and kept.expires - now or 0
  if left > 0 and kept.run ~= given.run then return {'running', kept.run, float(left), ''} end
  if left <= 0 and known and not given.again then return {'unknown', kept.run, '0', ''} end
  if left <= 0 then
    local expires, ends = now + given.lease, now + given.lease + RETENTION
    redis.call('DEL', key)
    redis.call(
      'HSET', key, 'fingerprint', given.fingerprint, 'run', given.run, 'expires', float(expires), 'ends', float(ends)
    )
    keep(key, ends - now)
  end
  return {'new', given.run, '0', ''}
end

function operations.end_once()
  local key = once_key()
  local kept = hash(key)
  if kept.run ~= given.run or tonumber(kept.ends) <= now then return {} end
  if given.keep <= 0 then
    redis.call('DEL', key)
    return {}
  end
  redis.call('HSET', key, 'expires', float(now), 'ends', float(now + given.keep))
  if given.body then redis.call('HSET', key, 'body', given.body) else redis.call('HDEL', key, 'body') end
  keep(key, given.keep)
  return {}
end

function operations.observe() return observe(given.observed) end

function operations.averages() return averages(given.model) end

function operations.circuit()
  local denied = circuit_denied(given)
  return denied and {float(denied[1])} or {}
end

function operations.keep_session()
  local key = PREFIX .. 'session:' .. given.session
  redis.call('HSET', key, 'tier', given.tier, 'tokens', whole(given.tokens), 'at', float(now))
  keep(key, given.kept)
  return {}
end

function operations.session()
  local kept = redis.call('HMGET', PREFIX .. 'session:' .. given.session, 'tier', 'tokens', 'at')
  if not kept[1] then return {} end
  return {kept[1], kept[2], float(now - kept[3])}
end

return operations[ARGV[1]]()
