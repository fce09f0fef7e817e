{{ config(materialized='incremental', incremental_strategy='merge', unique_key=['slice_id'], on_schema_change='fail', post_hook="{{ applied() }}") }}
{#- A table, so that a build compares only the files that came since, each with the one before it, and the ones whose
    predecessor came late: history is not read again. -#}
{%- set pairs %}
  select *
  from (
    select
      build, stream, account_id, mode, file_name, slice_id, file_at, as_of, aside_count,
      lag(slice_id) over (partition by stream, account_id, mode, if(mode = 'snapshot', '', file_name) order by file_at, slice_id) as previous_slice_id,
      lag(build) over (partition by stream, account_id, mode, if(mode = 'snapshot', '', file_name) order by file_at, slice_id) as previous_build,
      lag(as_of) over (partition by stream, account_id, mode, if(mode = 'snapshot', '', file_name) order by file_at, slice_id) as previous_as_of
    from {{ ref('slv_slices') }}
    where file_name is not null
  )
  where build > {{ applied_cut() }} or previous_build > {{ applied_cut() }}
{%- endset -%}
{%- set days = days_to_read('select date(as_of) as d from (' ~ pairs ~ ') union all select date(previous_as_of) from (' ~ pairs ~ ')') %}
with pairs as (
  {{ pairs }}
),
compared_slices as (
  select slice_id from pairs
  union distinct select previous_slice_id from pairs where previous_slice_id is not null
),
file_rows as (
  {% for stream in crm_streams() %}
  select
    b._slice_id as slice_id,
    concat({% for name in crm_record(stream) %}coalesce(trim(json_value(b.payload, '$.{{ name }}')), ''){{ ", '|', " if not loop.last }}{% endfor %}) as record,
    to_hex(md5(to_json_string(struct(
      {% for name in crm_fields(stream) %}trim(json_value(b.payload, '$.{{ name }}')) as {{ name }}{{ ', ' if not loop.last }}{% endfor %})))) as content
  from {{ source('bronze', stream | replace('.', '__')) }} as b
  join compared_slices as c on c.slice_id = b._slice_id
  where {{ among_days('b._date', days) }}
  {{ 'union all' if not loop.last }}
  {% endfor %}
),
records as (
  select slice_id, record, string_agg(content, '' order by content) as content
  from file_rows
  group by slice_id, record
),
sides as (
  select p.slice_id, r.record, r.content as now, cast(null as string) as before
  from pairs as p join records as r on r.slice_id = p.slice_id
  union all
  select p.slice_id, r.record, cast(null as string), r.content
  from pairs as p join records as r on r.slice_id = p.previous_slice_id
),
matched as (
  select slice_id, record, max(now) as now, max(before) as before
  from sides
  group by slice_id, record
),
counted as (
  select
    slice_id,
    countif(before is null) as added,
    countif(now != before) as changed,
    countif(now = before) as unchanged,
    countif(now is null) as gone
  from matched
  group by slice_id
),
set_aside as (
  select slice_id, count(*) as cast_rows from {{ ref('slv_set_aside') }} where stage = 'cast' group by slice_id
)
select
  p.stream, p.account_id, p.mode, p.file_name, p.file_at, p.slice_id, p.previous_slice_id,
  coalesce(c.added, 0) as added, coalesce(c.changed, 0) as changed, coalesce(c.unchanged, 0) as unchanged, coalesce(c.gone, 0) as gone,
  p.aside_count + coalesce(a.cast_rows, 0) as set_aside
from pairs as p
left join counted as c on c.slice_id = p.slice_id
left join set_aside as a on a.slice_id = p.slice_id
