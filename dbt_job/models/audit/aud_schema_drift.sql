-- Columns that the contract does not know: kept in bronze under _extra, never lost.
with fields as (
  select
    stream, file_name, slice_id, as_of,
    regexp_extract(pair, r'^"((?:[^"\\]|\\.)*)"') as field,
    safe_cast(regexp_extract(pair, r':\s*(\d+)$') as int64) as row_count
  from {{ ref('slv_slices') }},
    unnest(regexp_extract_all(to_json_string(unknown_fields), r'"(?:[^"\\]|\\.)*"\s*:\s*\d+')) as pair
)
select stream, field, count(*) as slices, sum(row_count) as row_count, min(as_of) as first_seen_at, max(as_of) as last_seen_at
from fields
group by stream, field
