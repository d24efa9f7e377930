-- Take the first announcements of some queues into flight, and fetch back what has flown too long.
--
-- KEYS    waiting, flying, wake and asides of each queue; see publish.lua
-- ARGV[1] how many announcements at most
-- ARGV[2] milliseconds in flight
-- ARGV    then a task and a room for each task that is limited here: what is set aside of it comes back into its queue
--         up to this room; of all other tasks everything may
--
-- Answers one flat list: number of the queue, score in flight, announcement, and so on.
-- Every branch begins with a write that frees memory: a full Redis can still be drained.
local left = tonumber(ARGV[1])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local rooms = {}
for n = 3, #ARGV, 2 do
    rooms[ARGV[n]] = tonumber(ARGV[n + 1])
end
local taken = {}

local function let_in(waiting, wake, asides)
    for _, task in ipairs(redis.call('SMEMBERS', asides)) do
        local room = rooms[task] or left
        if room > 0 then
            local aside = asides .. ':' .. task
            local back = redis.call('ZPOPMIN', aside, room)
            for n = 1, #back, 2 do
                redis.call('ZADD', waiting, 'NX', back[n + 1], back[n])
            end
            if rooms[task] then
                rooms[task] = room - #back / 2
            end
            if redis.call('EXISTS', aside) == 0 then
                redis.call('SREM', asides, task)
                redis.call('DEL', wake .. ':' .. task)
            end
        end
    end
end

local function fetch_back(waiting, flying)
    local late = redis.call('ZRANGEBYSCORE', flying, '-inf', now * 256 + 255, 'WITHSCORES', 'LIMIT', 0, 200)
    for n = 1, #late, 2 do
        redis.call('ZREM', flying, late[n])
        redis.call('ZADD', waiting, 'NX', late[n + 1] % 256 * 2 ^ 44, late[n])
    end
end

for queue = 1, #KEYS / 4 do
    local waiting, flying, wake = KEYS[4 * queue - 3], KEYS[4 * queue - 2], KEYS[4 * queue - 1]
    let_in(waiting, wake, KEYS[4 * queue])
    fetch_back(waiting, flying)
    local first = left > 0 and redis.call('ZPOPMIN', waiting, left) or {}
    for n = 1, #first, 2 do
        local score = (now + ARGV[2]) * 256 + math.floor(first[n + 1] / 2 ^ 44)
        redis.call('ZADD', flying, score, first[n])
        taken[#taken + 1], taken[#taken + 2], taken[#taken + 3] = queue, score, first[n]
    end
    left = left - #first / 2
    if #first > 0 and redis.call('LLEN', wake) == 0 and redis.call('EXISTS', waiting) == 1 then
        redis.call('RPUSH', wake, '') -- whoever is idle takes the rest
    end
end
return taken
