{# Silver of a stream of files: the newest version of each record, whatever the order in which files arrive.

   arrived  SQL of the new versions: account_id, the key, the columns, _marked_deleted, _slice_id, _file_at, _line, _version_at
   key      the record's key columns beside account_id
   columns  the other columns

   Newest = greatest (_version_at, _file_at, _slice_id, _line), where _version_at is the record's updated_at or else its file's
   time: one total order over all versions ("updated_at if both have one" would not be transitive). What stands competes with
   what arrives, so any order of arrival gives the same table. A list of the whole (mode snapshot) that leaves a record out,
   newer than every file that named it, marks it deleted; a list with rows set aside proves no absence.
   A superseded file (mode dates) counts only for records that no other file names, and a complete file that supersedes it
   marks those deleted. What stands cannot say what a file that was superseded since had hidden: then, and only then, the
   stream is computed anew from bronze (slices.redo).
   `_cut` is the build in which the content last changed: an export that repeats everything moves _slice_id, not _cut. #}
{% macro current_rows(stream, arrived, key, columns, slices) %}
{%- set id = ['account_id'] + key -%}
{%- set content = columns + ['_marked_deleted'] -%}
{%- set version = ['_slice_id', '_file_at', '_line', '_version_at'] %}
with arrived as (
  {{ arrived }}
),
candidates as (
  select {{ (id + content + version) | join(', ') }}, _file_at as _seen_at
  from arrived
  {%- if is_incremental() and not slices.redo %}
  union all
  select {{ (id + content + version) | join(', ') }}, _seen_at
  from {{ this }}
  {%- if not slices.has_snapshot %} join (select distinct {{ id | join(', ') }} from arrived) using ({{ id | join(', ') }}){% endif %}
  {%- endif %}
),
superseded as (
  select slice_id, min(if(by_is_complete, by_file_at, null)) as withdrawn_at
  from {{ ref('slv_superseded') }}
  where stream = '{{ stream }}'
  group by slice_id
),
judged as (
  select c.*, s.slice_id is not null as _is_superseded, s.withdrawn_at as _withdrawn_at
  from candidates as c
  left join superseded as s on s.slice_id = c._slice_id
),
ranked as (
  select
    *,
    coalesce(
      max(if(_is_superseded, null, _seen_at)) over (partition by {{ id | join(', ') }}),
      max(_seen_at) over (partition by {{ id | join(', ') }})) as _last_seen_at
  from judged
  where true
  qualify row_number() over (
    partition by {{ id | join(', ') }}
    order by _is_superseded, _version_at desc, _file_at desc, _slice_id desc, _line desc) = 1
),
whole_lists as (
  select account_id as list_account_id, file_at
  from {{ ref('slv_slices') }}
  where stream = '{{ stream }}' and mode = 'snapshot' and aside_count = 0
    and slice_id not in (select slice_id from {{ ref('slv_set_aside') }} where stream = '{{ stream }}' and slice_id is not null)
),
left_out as (
  select {% for column in id %}r.{{ column }}, {% endfor %}min(l.file_at) as deleted_at
  from ranked as r
  join whole_lists as l on l.list_account_id = r.account_id
  where l.file_at > r._last_seen_at
  group by {% for column in id %}r.{{ column }}{{ ', ' if not loop.last }}{% endfor %}
),
gone as (
  select
    r.*,
    coalesce(least(l.deleted_at, r._withdrawn_at), l.deleted_at, r._withdrawn_at) as deleted_at
  from ranked as r
  left join left_out as l on {% for column in id %}l.{{ column }} = r.{{ column }}{{ ' and ' if not loop.last }}{% endfor %}
),
hashed as (
  select
    *,
    to_hex(md5(to_json_string(struct(
      {% for column in content %}{{ column }} as {{ column }}, {% endfor %}deleted_at as deleted_at)))) as _hash
  from gone
)
select
  {% for column in id + columns %}n.{{ column }}, {% endfor %}
  n._marked_deleted or n.deleted_at is not null as is_deleted, n.deleted_at,
  {% for column in version %}n.{{ column }}, {% endfor %}n._last_seen_at as _seen_at, n._marked_deleted, n._hash,
  {%- if is_incremental() %}
  if(stood._hash = n._hash, stood._cut, (select coalesce(max(build), 0) from {{ ref('slv_slices') }})) as _cut
from hashed as n
left join {{ this }} as stood on {% for column in id %}stood.{{ column }} = n.{{ column }}{{ ' and ' if not loop.last }}{% endfor %}
  {%- else %}
  (select coalesce(max(build), 0) from {{ ref('slv_slices') }}) as _cut
from hashed as n
  {%- endif %}
{% endmacro %}

{# The `arrived` of a stream whose record is one row of a file. columns: {name: SQL expression over the typed fields}. #}
{% macro versions(stream, key, columns, slices) %}
  {%- set fields = crm_fields(stream) %}
  select
    _account_id as account_id,
    {% for name in key %}{{ columns.get(name, name) }} as {{ name }}, {% endfor %}
    {% for name, expression in columns.items() if name not in key %}{{ expression }} as {{ name }}, {% endfor %}
    {{ 'coalesce(is_deleted, false)' if 'is_deleted' in fields else 'false' }} as _marked_deleted,
    _slice_id, _file_at, _line, coalesce({{ 'updated_at' if 'updated_at' in fields else 'cast(null as timestamp)' }}, _file_at) as _version_at
  from ({{ typed_rows(stream, slices) }})
  where _bad is null
{% endmacro %}
