-- Delete rows of TABLE_NAME, one look into its primary key each. Parameter: a JSON array of runs.
DELETE t FROM JSON_TABLE(%s, '$[*]' COLUMNS (run_id char(36) PATH '$')) AS g
STRAIGHT_JOIN TABLE_NAME AS t FORCE INDEX (PRIMARY) ON t.run_id = g.run_id
