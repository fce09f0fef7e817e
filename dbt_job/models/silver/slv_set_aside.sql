{{ config(
    materialized='incremental', incremental_strategy='merge', unique_key=['slice_id', 'stage', 'row_number'],
    on_schema_change='fail', post_hook="{{ applied() }}") }}
{%- set slices = slices_to_read(none) -%}
{%- set personal = personal_fields() | map('tojson') | join(', ') %}
-- Built before the streams' models: a whole list with a row set aside proves no record's absence.
with by_cast as (
  {% for stream in crm_streams() %}
  select
    '{{ stream }}' as stream, 'cast' as stage, _account_id as account_id, _slice_id as slice_id, _file as file_name,
    _line as line_number, _row as row_number, _bad_column as column_name, _bad_value as bad_value, _bad_reason as reason, _as_of as as_of
  from ({{ typed_rows(stream, slices, with_reason=true) }})
  where _bad_column is not null
  {{ 'union all' if not loop.last }}
  {% endfor %}
),
by_extraction as (
  select
    b._stream as stream, 'extract' as stage, b._account_id as account_id, b._slice_id as slice_id, b._file as file_name,
    b._line as line_number, b._row as row_number, json_value(b.payload, '$.column') as column_name,
    json_value(b.payload, '$.value') as bad_value, json_value(b.payload, '$.reason') as reason, s.as_of
  from {{ source('bronze', 'set_aside') }} as b
  join {{ ref('slv_slices') }} as s on s.slice_id = b._slice_id
  where {{ among_days('b._date', slices.days) }} and s.build > {{ slices.since }}
)
select
  stream, stage, account_id, slice_id, file_name, line_number, row_number, column_name,
  -- What could be personal stays in bronze: named columns, and anything like an address in a shifted row.
  case
    when column_name is null or column_name in ({{ personal }}) then null
    when strpos(bad_value, '@') > 0 then '(withheld: may be personal)'
    else substr(bad_value, 1, 200)
  end as bad_value,
  reason, as_of
from (select * from by_cast union all select * from by_extraction)
