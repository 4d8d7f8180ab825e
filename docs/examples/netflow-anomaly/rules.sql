-- Addresses whose traffic in a minute is beyond the mean plus three times the standard deviation of their minutes before.
CREATE STREAM flows (
  ts TIMESTAMPTZ NOT NULL, src_ip INET, dst_ip INET, bytes BIGINT, packets BIGINT,
  WATERMARK FOR ts AS ts - INTERVAL '10 seconds'
) FORMAT JSON;

CREATE CONTINUOUS QUERY flow_minutes AS
SELECT window_start, window_end, src_ip, sum(bytes)::float8 AS bytes, sum(packets)::float8 AS packets, count(*)::float8 AS flows
FROM flows
GROUP BY src_ip, TUMBLE(ts, INTERVAL '1 minute');

CREATE CONTINUOUS QUERY flow_baseline AS
SELECT window_start, window_end, src_ip, bytes, packets, flows,
  count(*) OVER (PARTITION BY src_ip ORDER BY window_time ROWS BETWEEN 60 PRECEDING AND 1 PRECEDING) AS minutes,
  avg(bytes) OVER (PARTITION BY src_ip ORDER BY window_time ROWS BETWEEN 60 PRECEDING AND 1 PRECEDING) AS bytes_mean,
  stddev_pop(bytes) OVER (PARTITION BY src_ip ORDER BY window_time ROWS BETWEEN 60 PRECEDING AND 1 PRECEDING) AS bytes_sigma,
  avg(packets) OVER (PARTITION BY src_ip ORDER BY window_time ROWS BETWEEN 60 PRECEDING AND 1 PRECEDING) AS packets_mean,
  stddev_pop(packets) OVER (PARTITION BY src_ip ORDER BY window_time ROWS BETWEEN 60 PRECEDING AND 1 PRECEDING) AS packets_sigma,
  avg(flows) OVER (PARTITION BY src_ip ORDER BY window_time ROWS BETWEEN 60 PRECEDING AND 1 PRECEDING) AS flows_mean,
  stddev_pop(flows) OVER (PARTITION BY src_ip ORDER BY window_time ROWS BETWEEN 60 PRECEDING AND 1 PRECEDING) AS flows_sigma
FROM flow_minutes;

CREATE CONTINUOUS QUERY flow_anomalies WITH (severity = 'high', tags = 'attack.t1498') AS
SELECT window_start, src_ip, bytes, packets, flows,
  bytes > bytes_mean + 3 * bytes_sigma AS by_bytes, packets > packets_mean + 3 * packets_sigma AS by_packets,
  flows > flows_mean + 3 * flows_sigma AS by_flows
FROM flow_baseline
WHERE minutes >= 10 AND (bytes > bytes_mean + 3 * bytes_sigma OR packets > packets_mean + 3 * packets_sigma
  OR flows > flows_mean + 3 * flows_sigma);
