CREATE STREAM logs (ts TIMESTAMPTZ NOT NULL, src TEXT NOT NULL, dst TEXT, bytes BIGINT, score DOUBLE PRECISION, ok BOOLEAN, tags JSONB);
COMMENT ON TABLE logs IS 'raw events';
COMMENT ON COLUMN logs.src IS 'source address';
CREATE VIEW denied AS SELECT ts, src, dst, bytes FROM logs WHERE NOT ok;
CREATE MATERIALIZED VIEW top_src AS SELECT src, count(*) AS n, sum(bytes)::double precision AS total FROM logs GROUP BY src;
INSERT INTO logs VALUES
  ('2026-01-01 00:00:00+00', '10.0.0.1', '10.0.0.9', 1200, 0.5, true, '{"app":"ssh"}'),
  ('2026-01-01 00:00:01+00', '10.0.0.2', '10.0.0.9', 64, -1.25, false, '{"app":"dns","q":"x.y"}'),
  ('2026-01-01 00:00:02+00', '10.0.0.3', NULL, NULL, NULL, NULL, NULL),
  ('2026-01-01 00:01:00+00', '10.0.0.1', '8.8.8.8', 9223372036854775807, 1e300, true, '[]');
CREATE SCHEMA ioc;
CREATE TABLE ioc.bad_ips (value TEXT PRIMARY KEY, list TEXT NOT NULL DEFAULT 'default', added TIMESTAMPTZ DEFAULT now());
INSERT INTO ioc.bad_ips (value) VALUES ('8.8.8.8');
CREATE INDEX bad_ips_list ON ioc.bad_ips (list);
CREATE FUNCTION risk(a DOUBLE PRECISION, b BIGINT) RETURNS DOUBLE PRECISION LANGUAGE javascript IMMUTABLE AS $$ return a * Number(b) $$;
CREATE ROLE analyst LOGIN PASSWORD 'analyst';
GRANT USAGE ON SCHEMA ioc TO analyst;
GRANT SELECT ON ALL TABLES IN SCHEMA public, ioc TO analyst
