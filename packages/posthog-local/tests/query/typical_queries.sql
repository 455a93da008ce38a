SELECT event, count() FROM events GROUP BY event ORDER BY count() DESC LIMIT 10
SELECT * FROM events LIMIT 5
SELECT properties.$current_url AS current_url, count() AS url_count FROM events WHERE event = '$pageview' AND (distinct_id, timestamp) IN (SELECT distinct_id, min(timestamp) FROM events WHERE event = '$pageview' GROUP BY distinct_id) AND {filters} GROUP BY current_url ORDER BY url_count DESC
SELECT event, count() FROM events WHERE {filters} GROUP BY event
SELECT multiIf(properties.$os == 'Android', 'mobile', properties.$os == 'iOS', 'mobile', 'desktop') AS kind, count() FROM events GROUP BY kind
SELECT toDate(timestamp) AS day, count() FROM events WHERE timestamp > now() - INTERVAL 7 DAY GROUP BY day ORDER BY day
SELECT toStartOfDay(timestamp) AS day, uniq(person_id) AS users FROM events WHERE timestamp >= now() - interval 30 day GROUP BY day ORDER BY day
SELECT toStartOfWeek(timestamp) AS week, uniq(distinct_id) FROM events GROUP BY week ORDER BY week
SELECT toStartOfMonth(timestamp) AS month, count(DISTINCT person_id) FROM events GROUP BY month
SELECT date_trunc('week', timestamp) AS w, count() FROM events GROUP BY w
SELECT dateTrunc('month', timestamp) AS w, count() FROM events GROUP BY w
SELECT formatDateTime(timestamp, '%Y-%m') AS m, count() FROM events GROUP BY m
SELECT countIf(event = '$pageview') / nullIf(uniq(person_id), 0) AS per_user FROM events
SELECT person.properties.email, count() FROM events WHERE event = '$pageview' GROUP BY person.properties.email ORDER BY 2 DESC
SELECT properties.email, id FROM persons WHERE properties.email IS NOT NULL
SELECT properties.$geoip_country_name AS country, count() FROM persons GROUP BY country
SELECT persons.id FROM persons JOIN person_distinct_ids ON person_distinct_ids.person_id = persons.id
SELECT person_id, min(timestamp) AS first_seen, max(timestamp) AS last_seen FROM events GROUP BY person_id HAVING count() > 1
SELECT count() FROM events WHERE properties.$browser = 'Chrome' AND properties.$os ILIKE '%mac%'
SELECT count() FROM events WHERE event IN ('$pageview', '$pageleave')
SELECT count() FROM events WHERE event LIKE '%page%'
SELECT avg(toFloat(properties.amount)) FROM events WHERE event = 'order placed'
SELECT sum(properties.total) FROM events
SELECT quantile(0.95)(toFloat(properties.total)) FROM events
SELECT quantiles(0.5, 0.9, 0.99)(toFloat(properties.total)) FROM events
SELECT argMax(properties.plan, timestamp) AS latest_plan, distinct_id FROM events GROUP BY distinct_id
SELECT argMin(properties.$current_url, timestamp) FROM events GROUP BY properties.$session_id
SELECT properties.$session_id, dateDiff('second', min(timestamp), max(timestamp)) AS seconds FROM events GROUP BY properties.$session_id
SELECT session_id, $session_duration FROM sessions ORDER BY $session_duration DESC
SELECT avg(session.$session_duration) FROM events WHERE event = '$pageview'
SELECT session.$entry_current_url, count() FROM events GROUP BY session.$entry_current_url
SELECT groupArray(event) FROM events GROUP BY person_id
SELECT groupArray(10)(event) FROM events GROUP BY person_id
SELECT groupUniqArray(event) FROM events GROUP BY person_id
SELECT arraySort(groupArray(event)) FROM events GROUP BY person_id
SELECT arrayMap(x -> concat('e:', x), groupArray(event)) FROM events GROUP BY person_id
SELECT arrayFilter(x -> x != '$pageview', groupArray(event)) FROM events GROUP BY person_id
SELECT arrayExists(x -> x = '$pageview', groupArray(event)) FROM events GROUP BY person_id
SELECT arrayCount(x -> x = '$pageview', groupArray(event)) FROM events GROUP BY person_id
SELECT arrayMap((x, y) -> concat(x, y), ['a', 'b'], ['c', 'd'])
SELECT arrayJoin(['a', 'b', 'c']) AS letter
SELECT arrayJoin(JSONExtract(ifNull(properties.tags, '[]'), 'Array(String)')) AS tag, count() FROM events GROUP BY tag
SELECT arrayJoin(JSONExtractArrayRaw(properties, 'items')) AS item FROM events
SELECT JSONExtractString(properties, 'plan') FROM events
SELECT JSONExtractString(arrayJoin(JSONExtractArrayRaw(properties.items)), 'sku') AS sku FROM events
SELECT JSONExtractKeys(properties) FROM events LIMIT 3
SELECT DISTINCT arrayJoin(JSONExtractKeys(properties)) AS k FROM events
SELECT has(groupArray(event), '$pageview') FROM events GROUP BY person_id
SELECT length(groupUniqArray(event)) FROM events GROUP BY person_id
SELECT splitByChar('/', properties.$pathname)[2] AS section, count() FROM events GROUP BY section
SELECT splitByString('/', 'a/b')
SELECT extract(properties.$current_url, 'product/([0-9]+)') AS id FROM events
SELECT match(properties.$current_url, '.*/docs.*') FROM events
SELECT replaceRegexpAll(properties.$current_url, '\\?.*', '') AS clean, count() FROM events GROUP BY clean
SELECT domain(properties.$referrer), count() FROM events GROUP BY domain(properties.$referrer)
SELECT path(properties.$current_url) AS p, count() FROM events GROUP BY p
SELECT extractURLParameter(properties.$current_url, 'utm_source') AS s, count() FROM events GROUP BY s
SELECT cutQueryString(properties.$current_url), cutToFirstSignificantSubdomain(properties.$current_url), domainWithoutWWW(properties.$current_url) FROM events -- refused: the function cutToFirstSignificantSubdomain is not supported
SELECT decodeURLComponent(properties.$current_url) FROM events
SELECT lower(properties.email), upper(event), trim(event), substring(event, 1, 3), concat(event, '-', distinct_id, '!') FROM events
SELECT position(event, 'page'), startsWith(event, '$'), endsWith(event, 'w'), reverse(event) FROM events
SELECT if(properties.plan = 'pro', 1, 0) AS is_pro FROM events
SELECT coalesce(properties.a, properties.b, 'none') FROM events
SELECT ifNull(properties.plan, 'none'), nullIf(properties.plan, '') FROM events
SELECT toInt(properties.total), toFloat(properties.total), toString(timestamp), toDate('2026-01-01'), toDateTime('2026-01-01 00:00:00') FROM events
SELECT toIntOrZero(properties.total), toFloatOrZero(properties.total), toUUID(uuid) FROM events
SELECT round(1.234, 2), floor(1.5), ceil(1.5), abs(-1), pow(2, 3), sqrt(4), exp(1), log(2), log10(10), intDiv(5, 2), 5 % 2
SELECT count() FROM events WHERE timestamp BETWEEN toDateTime('2026-01-01 00:00:00') AND now()
SELECT toHour(timestamp) AS h, toDayOfWeek(timestamp) AS d, count() FROM events GROUP BY h, d
SELECT toHour(toTimeZone(timestamp, 'America/New_York')) AS h, count() FROM events GROUP BY h
SELECT toStartOfInterval(timestamp, INTERVAL 15 MINUTE) AS q, count() FROM events GROUP BY q
SELECT toStartOfHour(timestamp), toStartOfFiveMinutes(timestamp), toStartOfFifteenMinutes(timestamp), toStartOfTenMinutes(timestamp), toMonday(timestamp), toStartOfYear(timestamp), toStartOfQuarter(timestamp) FROM events
SELECT dateAdd('day', 1, timestamp), dateSub('day', 1, timestamp), addDays(timestamp, 1), subtractHours(timestamp, 2), addMonths(timestamp, 1) FROM events
SELECT timestamp + toIntervalDay(1), timestamp - INTERVAL '1 day', today() - 1, yesterday() FROM events
SELECT dateDiff('day', toDate('2026-01-01'), today()), age('day', toDateTime('2026-01-01 00:00:00'), now())
SELECT lagInFrame(timestamp) OVER (PARTITION BY person_id ORDER BY timestamp) FROM events
SELECT lag(timestamp) OVER (PARTITION BY person_id ORDER BY timestamp ASC) FROM events
SELECT leadInFrame(event, 1) OVER (PARTITION BY person_id ORDER BY timestamp ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) FROM events
SELECT row_number() OVER (PARTITION BY person_id ORDER BY timestamp), rank() OVER (ORDER BY timestamp) FROM events
SELECT sum(count()) OVER (ORDER BY toDate(timestamp)) AS running FROM events GROUP BY toDate(timestamp)
WITH firsts AS (SELECT person_id, min(timestamp) AS t FROM events GROUP BY person_id) SELECT toStartOfMonth(t) AS m, count() FROM firsts GROUP BY m
WITH (SELECT max(timestamp) FROM events) AS latest SELECT count() FROM events WHERE timestamp = latest
SELECT e.event, p.properties.email FROM events e JOIN persons p ON e.person_id = p.id
SELECT e1.person_id FROM events e1 INNER JOIN events e2 ON e1.person_id = e2.person_id WHERE e1.event = 'a' AND e2.event = 'b' AND e2.timestamp > e1.timestamp
SELECT event FROM events UNION ALL SELECT 'x'
SELECT group_0.properties.name, count() FROM events GROUP BY group_0.properties.name
SELECT properties.name, key FROM groups WHERE index = 0
SELECT $group_0, count() FROM events WHERE notEmpty($group_0) GROUP BY $group_0
SELECT pdi.person_id, count() FROM events GROUP BY pdi.person_id
SELECT pdi.person.properties.email FROM events
SELECT person.id, person.created_at FROM events
SELECT elements_chain FROM events WHERE event = '$autocapture'
SELECT count() FROM events WHERE elements_chain ILIKE '%button%'
SELECT count() FROM events WHERE person_id IN COHORT 1 -- refused: this is no query that we understand: Invalid expression / Unexpected t
SELECT topK(5)(event) FROM events
SELECT any(event), anyLast(event), uniqExact(person_id), stddevPop(toFloat(properties.total)), varSamp(toFloat(properties.total)), median(toFloat(properties.total)) FROM events
SELECT sumIf(toFloat(properties.total), event = 'paid'), avgIf(toFloat(properties.total), event = 'paid'), uniqIf(person_id, event = 'paid'), minIf(timestamp, event = 'paid'), quantileIf(0.9)(toFloat(properties.total), event = 'paid'), argMaxIf(event, timestamp, event = 'paid'), anyIf(event, event = 'paid') FROM events
SELECT countIf(properties.$lib = 'web') AS web, round(countIf(properties.$lib = 'web') * 100.0 / count(), 2) FROM events
SELECT properties.$exception_types[1] AS t, count() FROM events WHERE event = '$exception' GROUP BY t
SELECT properties.$ai_model, sum(toFloat(properties.$ai_total_cost_usd)), sum(toInt(properties.$ai_input_tokens)) FROM events WHERE event = '$ai_generation' GROUP BY properties.$ai_model
SELECT properties['$feature/beta'] AS variant, count() FROM events GROUP BY variant
SELECT properties.$feature_flag_response, uniq(distinct_id) FROM events WHERE event = '$feature_flag_called' AND properties.$feature_flag = 'beta' GROUP BY properties.$feature_flag_response
SELECT tuple(event, distinct_id) FROM events
SELECT (event, distinct_id).1 FROM events
SELECT map('a', 1)
SELECT range(1, 5), arraySum([1, 2]), arrayAvg([1, 2]), arrayMax([1,2]), arrayMin([1,2]), arrayReverse([1,2]), arrayDistinct([1,1]), arraySlice([1,2,3], 1, 2), arrayConcat([1],[2]), arrayElement([1,2], 1), indexOf(['a'], 'a'), arrayEnumerate(['a','b']), arrayZip([1],[2]), arrayFlatten([[1],[2]]), arrayUniq([1,1]), arrayPushBack([1], 2), arrayPushFront([1], 0), hasAny([1],[1]), hasAll([1],[1]), empty([1]), notEmpty([1])
SELECT arrayStringConcat(groupArray(event), ' > ') FROM (SELECT event, person_id FROM events ORDER BY timestamp) GROUP BY person_id
SELECT number FROM numbers(5)
SELECT toStartOfDay(now()) - toIntervalDay(number) AS day FROM numbers(30)
SELECT toDate(timestamp) AS day, count() FROM events WHERE day >= today() - 7 GROUP BY day ORDER BY day WITH FILL -- refused: WITH FILL is not supported; join the days that you want: SELECT today(
SELECT event, count() AS c FROM events GROUP BY event ORDER BY c DESC LIMIT 2 BY event
SELECT DISTINCT event FROM events
SELECT event, any(properties.plan) FROM events GROUP BY event HAVING count() >= 1
SELECT CASE WHEN properties.plan = 'pro' THEN 'paying' ELSE 'free' END AS tier, count() FROM events GROUP BY tier
SELECT count() FROM events WHERE NOT (properties.is_test = true) OR properties.is_test IS NULL
SELECT count() FROM events WHERE properties.total > 100
SELECT count() FROM events WHERE toFloat(properties.total) >= 100 AND properties.total != ''
SELECT count() FROM events SAMPLE 0.1 -- refused: SAMPLE is not supported: every event is looked at; leave it out
SELECT windowFunnel(86400)(toDateTime(timestamp), event = 'a', event = 'b') AS level FROM events GROUP BY person_id -- refused: the function windowFunnel is not supported
SELECT retention(event = 'a', event = 'b') FROM events GROUP BY person_id -- refused: the function retention is not supported
SELECT generateUUIDv4(), now(), today()
SELECT cityHash64(distinct_id) % 10 FROM events -- refused: the function city_hash64 is not supported here
SELECT JSONExtractInt(properties, 'total'), JSONExtractFloat(properties, 'total'), JSONExtractBool(properties, 'ok'), JSONHas(properties, 'a'), JSONLength(properties, 'items'), JSONExtractRaw(properties, 'items') FROM events
SELECT properties.nested.deep FROM events
SELECT event, timestamp FROM events WHERE timestamp > '2026-01-01' ORDER BY timestamp DESC LIMIT 10 OFFSET 5
SELECT event FROM events WHERE distinct_id = {who}
SELECT toUnixTimestamp(timestamp), fromUnixTimestamp(1700000000), toUnixTimestamp64Milli(timestamp), parseDateTimeBestEffort('2026-01-01') FROM events
SELECT isNull(properties.x), isNotNull(properties.x), equals(1, 1), notEquals(1, 2), greater(2, 1), lessOrEquals(1, 2), and(true, false), or(true, false), not(true), plus(1, 2), minus(1, 2), multiply(1, 2), divide(1, 2) FROM events
SELECT level, body, timestamp FROM log_entries LIMIT 3 -- refused: there is no table 'log_entries'; there are events, persons, person_dis
SELECT severity_text, count() FROM logs GROUP BY severity_text
SELECT session_id, min_first_timestamp, click_count FROM session_replay_events LIMIT 5 -- refused: there is no table 'session_replay_events'; there are events, persons,
SELECT properties.utm_source, count() FROM events WHERE properties.utm_source IS NOT NULL AND properties.utm_source NOT IN ('', 'x') GROUP BY 1 ORDER BY 2 DESC
SELECT count(*), count(1), count(person_id), count(distinct event) FROM events
SELECT person.properties.$initial_referring_domain AS d, count() FROM events GROUP BY d
SELECT toTimeZone(timestamp, 'Europe/Berlin') AS t, formatDateTime(timestamp, '%Y-%m-%d %H:%i:%S') FROM events
SELECT leftPad(event, 10, ' '), left(event, 2), right(event, 2), repeat('a', 3), ascii('a'), base64Encode('a'), base64Decode('YQ=='), MD5('a'), hex('a') FROM events
SELECT countSubstrings(event, 'a'), ngrams('abc', 2), format('{}-{}', event, 'x') FROM events -- refused: the function ngrams is not supported
SELECT sumMap(map('a', 1)) FROM events -- refused: the function sumMap is not supported
SELECT bar(1, 0, 10, 5), formatReadableSize(1024), formatReadableQuantity(1e6), formatReadableTimeDelta(3600), monthName(today()), dateName('weekday', now()) -- refused: the function bar is not supported
SELECT groupArraySorted(5)(event) FROM events -- refused: the function groupArraySorted is not supported; did you mean groupArra
SELECT simpleLinearRegression(1, 2) FROM events -- refused: the function simpleLinearRegression is not supported
SELECT first_value(event) OVER (PARTITION BY person_id ORDER BY timestamp), last_value(event) OVER (PARTITION BY person_id ORDER BY timestamp) FROM events
SELECT event FROM events PREWHERE event = 'a'
SELECT event FROM events WHERE event =~ 'a.*'
SELECT event FROM events WHERE event =~ 'a.*' AND event !~ 'b' -- refused: this is no query that we understand: Invalid expression / Unexpected t
SELECT `event` FROM events WHERE properties.`my prop` = 'x'
SELECT "event" FROM events WHERE event = 'a' AND 1 = 1;
SELECT now() - toIntervalHour(1) AS x, x AS y
SELECT timestamp::date AS d, count(*) FROM events GROUP BY d
SELECT CAST(properties.total AS Float64), CAST(properties.total, 'Float64') FROM events
SELECT team_id, created_at FROM events -- refused: there is no column 'team_id'. A property is called properties.team_id,
SELECT properties.$screen_width > 1000 ? 'wide' : 'narrow' AS w, count() FROM events GROUP BY w
SELECT properties?.a FROM events -- refused: this is no query that we understand: Required keyword: 'true' missing
SELECT event ?? 'none' FROM events
SELECT [1, 2, 3][1], tupleElement(('a', 'b'), 1)
SELECT histogram(5)(toFloat(properties.total)) FROM events -- refused: the function histogram is not supported
SELECT event, count() c FROM events GROUP BY ALL
SELECT event, bounce FROM (SELECT event, count() = 1 AS bounce FROM events GROUP BY event)
SELECT sum(sign(1)), toTypeName(1), toUInt64(1), toDecimal(1.5, 2) FROM events
SELECT distinct_id FROM events ARRAY JOIN ['a', 'b'] AS x
SELECT x, distinct_id FROM events ARRAY JOIN splitByChar(' ', event) AS x
SELECT $session_id, $window_id FROM events
SELECT $start_timestamp, $is_bounce, $entry_utm_source, $end_pathname, $entry_pathname, $num_uniq_urls FROM sessions
