-- A remote desktop session that is taken over: the server sees it reconnected from another address than the client's that opened
-- it, within twenty minutes.
CREATE STREAM rdp_client (
  ts TIMESTAMPTZ NOT NULL, session_id BIGINT, username TEXT, client_ip INET, server TEXT,
  WATERMARK FOR ts AS ts - INTERVAL '30 seconds'
) FORMAT JSON;

CREATE STREAM rdp_server (
  ts TIMESTAMPTZ NOT NULL, session_id BIGINT, username TEXT, source_ip INET, event_id INT,
  WATERMARK FOR ts AS ts - INTERVAL '30 seconds'
) FORMAT JSON;

CREATE CONTINUOUS QUERY rdp_hijack WITH (severity = 'critical', tags = 'attack.t1563.002') AS
SELECT c.ts AS opened, s.ts AS taken, c.session_id, c.username AS victim, c.client_ip, s.username AS taken_by, s.source_ip
FROM rdp_client c JOIN rdp_server s
  ON c.session_id = s.session_id
  AND s.ts BETWEEN c.ts - INTERVAL '20 minutes' AND c.ts + INTERVAL '20 minutes'
WHERE s.event_id = 4778 AND c.client_ip <> s.source_ip;
