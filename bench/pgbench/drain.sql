SELECT count(*) AS claimed,
       coalesce((array_agg(lease))[1], '00000000-0000-0000-0000-000000000000') AS lease,
       coalesce(array_agg(event_id), '{}') AS ids
  FROM backup_codes_events_claim(100) \gset
\if :claimed > 0
SELECT backup_codes_events_ack(:lease::uuid, :ids::uuid[]);
\else
\sleep 20 ms
\endif
