-- How the server is set up, and what keeps it from cleaning up: for the doctor. No parameters.
SELECT current_setting('server_version_num')::int AS version_number,
    current_setting('server_version') AS version,
    current_setting('transaction_isolation') AS isolation,
    current_setting('fsync') = 'on' AS fsync,
    current_setting('synchronous_commit') AS synchronous_commit,
    current_setting('autovacuum') = 'on' AND current_setting('track_counts') = 'on' AS autovacuum,
    pg_is_in_recovery() AS standby,
    current_setting('max_connections')::int AS max_connections,
    (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS connections,
    (
        SELECT max(extract(epoch FROM statement_timestamp() - xact_start))::float8 FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
    ) AS longest_transaction
