{%- set slices = slices_to_read(none, since=0) %}
-- The identity: rows of the file = rows loaded + set aside by the extraction + declared non-rows, and rows loaded =
-- current + older + set aside by a cast. `missing_rows` is what breaks it: 0, or a test fails.
with in_bronze as (
  {% for stream in crm_streams() %}
  select _slice_id as slice_id, count(*) as loaded_rows from {{ source('bronze', stream | replace('.', '__')) }}
  where {{ among_days('_date', slices.days) }}
  group by _slice_id
  {{ 'union all' if not loop.last }}
  {% endfor %}
),
in_silver as (
  {% for model in ['contacts', 'products', 'orders', 'support_tickets', 'campaigns', 'exchange_rates'] %}
  select _slice_id as slice_id, count(*) as current_rows from {{ ref('slv_crm__' ~ model) }} group by _slice_id
  union all
  {% endfor %}
  select _slice_id as slice_id, sum(array_length(lines)) as current_rows from {{ ref('slv_crm__order_lines') }} group by _slice_id
),
set_aside as (
  select slice_id, countif(stage = 'cast') as cast_rows, countif(stage = 'extract') as extract_rows
  from {{ ref('slv_set_aside') }} group by slice_id
)
select
  s.source, s.stream, s.account_id, s.slice_id, s.build, s.mode, s.file_name, s.as_of,
  s.row_count + s.aside_count + s.non_row_count as file_rows,
  s.row_count as delivered_rows,
  s.non_row_count as non_rows,
  s.aside_count as set_aside_by_extraction,
  coalesce(b.loaded_rows, 0) as loaded_rows,
  coalesce(a.cast_rows, 0) as set_aside_by_cast,
  coalesce(c.current_rows, 0) as current_rows,
  coalesce(b.loaded_rows, 0) - coalesce(a.cast_rows, 0) - coalesce(c.current_rows, 0) as older_rows,
  s.row_count - coalesce(b.loaded_rows, 0) + abs(s.aside_count - coalesce(a.extract_rows, 0)) as missing_rows
from {{ ref('slv_slices') }} as s
left join in_bronze as b on b.slice_id = s.slice_id
left join in_silver as c on c.slice_id = s.slice_id
left join set_aside as a on a.slice_id = s.slice_id
