{# Silver of a stream of files: the newest version of each record, whatever the order in which files arrive.

   arrived  SQL of the new versions: account_id, the key, the columns, _marked_deleted, _slice_id, _file_at, _line, _version_at
   key      the record's key columns beside account_id
   columns  the other columns

   Newest = greatest (_version_at, _file_at, _slice_id, _line), where _version_at is the record's updated_at or else its file's
   time: one total order over all versions ("updated_at if both have one" would not be transitive). What stands competes with
   what arrives, so any order of arrival gives the same table. A list of the whole (mode snapshot) that leaves a record out,
   newer than every file that named it, marks it deleted; a list with rows set aside proves no absence.
   `_cut` is the build in which the content last changed: an export that repeats everything moves _slice_id, not _cut. #}
{% macro current_rows(stream, arrived, key, columns, slices) %}
{%- set id = ['account_id'] + key -%}
{%- set content = columns + ['_marked_deleted'] -%}
{%- set version = ['_slice_id', '_file_at', '_line', '_version_at'] %}
with arrived as (
  {{ arrived }}
),
candidates as (
  select
    {{ (id + content + version) | join(', ') }}, _file_at as _seen_at,
    cast(null as int64) as _had_cut, cast(null as string) as _had_hash
  from arrived
  {%- if is_incremental() %}
  union all
  select
    {{ (id + content + version) | join(', ') }}, _seen_at, _cut, _hash
  from {{ this }}
  {%- if not slices.has_snapshot %} join (select distinct {{ id | join(', ') }} from arrived) using ({{ id | join(', ') }}){% endif %}
  {%- endif %}
),
ranked as (
  select
    *,
    max(_seen_at) over (partition by {{ id | join(', ') }}) as _last_seen_at,
    max(_had_cut) over (partition by {{ id | join(', ') }}) as _last_cut,
    max(_had_hash) over (partition by {{ id | join(', ') }}) as _last_hash
  from candidates
  where true
  qualify row_number() over (
    partition by {{ id | join(', ') }} order by _version_at desc, _file_at desc, _slice_id desc, _line desc) = 1
),
whole_lists as (
  select account_id as list_account_id, file_at
  from {{ ref('slv_slices') }}
  where stream = '{{ stream }}' and mode = 'snapshot' and aside_count = 0
    and slice_id not in (select slice_id from {{ ref('slv_set_aside') }} where stream = '{{ stream }}' and slice_id is not null)
),
gone as (
  select {% for column in id %}r.{{ column }}, {% endfor %}min(l.file_at) as deleted_at
  from ranked as r
  join whole_lists as l on l.list_account_id = r.account_id
  where l.file_at > r._last_seen_at
  group by {% for column in id %}r.{{ column }}{{ ', ' if not loop.last }}{% endfor %}
),
hashed as (
  select
    r.*, g.deleted_at,
    to_hex(md5(to_json_string(struct(
      {% for column in content %}r.{{ column }} as {{ column }}, {% endfor %}g.deleted_at as deleted_at)))) as _hash
  from ranked as r
  left join gone as g on {% for column in id %}g.{{ column }} = r.{{ column }}{{ ' and ' if not loop.last }}{% endfor %}
)
select
  {{ (id + columns) | join(', ') }},
  _marked_deleted or deleted_at is not null as is_deleted, deleted_at,
  {{ version | join(', ') }}, _last_seen_at as _seen_at, _marked_deleted, _hash,
  if(_hash = _last_hash, _last_cut, (select coalesce(max(build), 0) from {{ ref('slv_slices') }})) as _cut
from hashed
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
