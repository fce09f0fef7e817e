{{ config(
    materialized='incremental', incremental_strategy='merge', unique_key=['slice_id', 'stage', 'row_number'],
    on_schema_change='fail', post_hook="{{ applied() }}") }}
{%- set slices = slices_to_read(none) -%}
{%- set personal = "'" ~ personal_fields() | join("', '") ~ "'" %}
-- Built before the streams' models: a whole list with a row set aside proves no record's absence.
with by_cast as (
  {%- for stream in crm_streams() %}
  select '{{ stream }}' as stream, * from ({{ typed_rows(stream, slices, typed=false) }}) where _bad is not null
  {{ 'union all' if not loop.last }}
  {%- endfor %}
),
every_row as (
  select
    stream, 'cast' as stage, _account_id as account_id, _slice_id as slice_id, _file as file_name, _line as line_number, _row as row_number,
    split(_bad, '=')[offset(0)] as column_name, nullif(substr(_bad, strpos(_bad, '=') + 1), '') as bad_value,
    if(strpos(_bad, '=') = length(_bad), 'required value is missing', 'does not read as the type of the field') as reason,
    _as_of as as_of
  from by_cast
  union all
  select
    b._stream, 'extract', b._account_id, b._slice_id, b._file, b._line, b._row,
    json_value(b.payload, '$.column'), json_value(b.payload, '$.value'), json_value(b.payload, '$.reason'), s.as_of
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
from every_row
