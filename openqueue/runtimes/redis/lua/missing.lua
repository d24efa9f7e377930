-- Tell which announcements are neither waiting, nor in flight, nor set aside.
--
-- KEYS[1] waiting   see publish.lua
-- KEYS[2] flying
-- KEYS[3] asides
-- ARGV    the announcements
--
-- Answers 1 for each that is missing, else 0.
local asides = redis.call('SMEMBERS', KEYS[3])
local answers = {}
for n = 1, #ARGV do
    local found = redis.call('ZSCORE', KEYS[1], ARGV[n]) or redis.call('ZSCORE', KEYS[2], ARGV[n])
    for _, task in ipairs(asides) do
        found = found or redis.call('ZSCORE', KEYS[3] .. ':' .. task, ARGV[n])
    end
    answers[n] = found and 0 or 1
end
return answers
