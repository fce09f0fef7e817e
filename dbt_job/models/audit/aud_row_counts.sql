{%- set slices = slices_to_read(none, since=0) %}
-- The identity: rows of the file = rows loaded + set aside by the extraction + declared non-rows, and rows loaded =
-- current + older + superseded + set aside by a cast. `missing_rows` is what breaks it: 0, or a test fails.
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
  select _slice_id as slice_id, count(*) as current_rows, countif(not is_deleted) as living_rows
  from {{ ref('slv_crm__' ~ model) }} group by _slice_id
  union all
  {% endfor %}
  select _slice_id, sum(array_length(lines)), sum(if(is_deleted, 0, array_length(lines)))
  from {{ ref('slv_crm__order_lines') }} group by _slice_id
),
set_aside as (
  select slice_id, countif(stage = 'cast') as cast_rows, countif(stage = 'extract') as extract_rows
  from {{ ref('slv_set_aside') }} group by slice_id
),
counted as (
  select
    s.*,
    coalesce(b.loaded_rows, 0) as loaded_rows, coalesce(a.cast_rows, 0) as cast_rows, coalesce(a.extract_rows, 0) as extract_rows,
    d.slice_id is not null as is_superseded,
    -- of a superseded file only what a file with bad rows could not withdraw is current
    coalesce(if(d.slice_id is null, c.current_rows, c.living_rows), 0) as current_rows
  from {{ ref('slv_slices') }} as s
  left join in_bronze as b on b.slice_id = s.slice_id
  left join in_silver as c on c.slice_id = s.slice_id
  left join set_aside as a on a.slice_id = s.slice_id
  left join (select distinct slice_id from {{ ref('slv_superseded') }}) as d on d.slice_id = s.slice_id
)
select
  source, stream, account_id, slice_id, build, mode, file_name, as_of,
  row_count + aside_count + non_row_count as file_rows,
  row_count as delivered_rows,
  non_row_count as non_rows,
  aside_count as set_aside_by_extraction,
  loaded_rows,
  cast_rows as set_aside_by_cast,
  current_rows,
  if(is_superseded, 0, loaded_rows - cast_rows - current_rows) as older_rows,
  if(is_superseded, loaded_rows - cast_rows - current_rows, 0) as superseded_rows,
  row_count - loaded_rows + abs(aside_count - extract_rows) as missing_rows
from counted
