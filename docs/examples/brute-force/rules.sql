-- More than ten denied logons of a user at a server within five seconds.
CREATE STREAM auth (
  ts TIMESTAMPTZ NOT NULL, username TEXT, dst TEXT, src_ip INET, action TEXT,
  WATERMARK FOR ts AS ts - INTERVAL '5 seconds'
) FORMAT JSON;

CREATE CONTINUOUS QUERY brute_force WITH (severity = 'high', tags = 'attack.t1110') AS
SELECT window_start, username, dst, count(*) AS denied, count(DISTINCT src_ip) AS sources
FROM auth
WHERE action = 'denied'
GROUP BY username, dst, TUMBLE(ts, INTERVAL '5 seconds')
HAVING count(*) > 10;
