-- Several login attempts with non-existing accounts: ten or more of a user name at a server within a minute.
CREATE STREAM kerberos (
  ts TIMESTAMPTZ NOT NULL, product TEXT, message TEXT, "UserName" TEXT, "destinationAddress" INET,
  WATERMARK FOR ts AS ts - INTERVAL '10 seconds'
) FORMAT JSON;

CREATE CONTINUOUS QUERY unknown_accounts WITH (severity = 'medium', tags = 'attack.t1087') AS
SELECT window_start, "UserName" AS username, "destinationAddress" AS destination, count(*) AS attempts,
  'Several login attempts with non existing accounts' AS message
FROM kerberos
WHERE product = 'Kerberos Server' AND message ILIKE '%The specified user does not exist.%'
GROUP BY "UserName", "destinationAddress", TUMBLE(ts, INTERVAL '1 minute')
HAVING count(*) >= 10;
