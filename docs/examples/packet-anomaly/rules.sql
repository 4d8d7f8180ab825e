-- Addresses that send more in a minute than the mean plus three times the standard deviation of their minutes before, from packets.
CREATE STREAM capture (WATERMARK FOR ts AS ts - INTERVAL '3 minutes') FORMAT PCAP;

CREATE CONTINUOUS QUERY packet_minutes AS
SELECT window_start, window_end, src_addr, sum(octets)::float8 AS octets, sum(packets)::float8 AS packets, count(*)::float8 AS flows
FROM capture
GROUP BY src_addr, TUMBLE(ts, INTERVAL '1 minute');

CREATE CONTINUOUS QUERY packet_baseline AS
SELECT window_start, window_end, src_addr, octets, packets, flows,
  count(*) OVER (PARTITION BY src_addr ORDER BY window_time ROWS BETWEEN 60 PRECEDING AND 1 PRECEDING) AS minutes,
  avg(octets) OVER (PARTITION BY src_addr ORDER BY window_time ROWS BETWEEN 60 PRECEDING AND 1 PRECEDING) AS octets_mean,
  stddev_pop(octets) OVER (PARTITION BY src_addr ORDER BY window_time ROWS BETWEEN 60 PRECEDING AND 1 PRECEDING) AS octets_sigma,
  avg(packets) OVER (PARTITION BY src_addr ORDER BY window_time ROWS BETWEEN 60 PRECEDING AND 1 PRECEDING) AS packets_mean,
  stddev_pop(packets) OVER (PARTITION BY src_addr ORDER BY window_time ROWS BETWEEN 60 PRECEDING AND 1 PRECEDING) AS packets_sigma,
  avg(flows) OVER (PARTITION BY src_addr ORDER BY window_time ROWS BETWEEN 60 PRECEDING AND 1 PRECEDING) AS flows_mean,
  stddev_pop(flows) OVER (PARTITION BY src_addr ORDER BY window_time ROWS BETWEEN 60 PRECEDING AND 1 PRECEDING) AS flows_sigma
FROM packet_minutes;

CREATE CONTINUOUS QUERY packet_anomalies WITH (severity = 'high', tags = 'attack.t1046') AS
SELECT window_start, src_addr, octets, packets, flows,
  octets > octets_mean + 3 * octets_sigma AS by_octets, packets > packets_mean + 3 * packets_sigma AS by_packets,
  flows > flows_mean + 3 * flows_sigma AS by_flows
FROM packet_baseline
WHERE minutes >= 10 AND (octets > octets_mean + 3 * octets_sigma OR packets > packets_mean + 3 * packets_sigma
  OR flows > flows_mean + 3 * flows_sigma);
