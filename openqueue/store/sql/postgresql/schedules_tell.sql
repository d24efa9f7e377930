-- Append to the histories of runs which tick each comes from, and to those of schedules what became of their ticks.
--
-- parameter  holds (arrays, one element a line)
-- runs, datas                                 the runs made, and what to say of each: JSON
-- schedules, ticks, untils, outcomes, reasons the lines of the schedules
-- made                                        the run of each of those, or null
-- at                                          the moment of all
WITH event AS (
    INSERT INTO openqueue_runevent (run_id, attempt, kind, actor, data, at)
    SELECT g.run_id, 0, 'tick', '', g.data, %(at)s
    FROM unnest(%(runs)s::uuid[], %(datas)s::text[]) AS g (run_id, data)
)
INSERT INTO openqueue_scheduletick (schedule_id, tick, until, outcome, run_id, reason, at)
SELECT g.schedule_id, g.tick, g.until, g.outcome, g.run_id, g.reason, %(at)s
FROM unnest(
    %(schedules)s::int8[], %(ticks)s::timestamptz[], %(untils)s::timestamptz[], %(outcomes)s::text[], %(made)s::uuid[],
    %(reasons)s::text[]
) AS g (schedule_id, tick, until, outcome, run_id, reason)
